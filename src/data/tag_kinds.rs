//! Whether tags mark entities or something else, such as parts of speech: the odd one out in a
//! file of entities is a slip.

use crate::error::RowProblem;

/// Whether a tag marks entities: `O`, or `B-`, `I-`, `E-`, `S-`, `L-`, `U-` and a type.
pub(crate) fn marks_entities(tag: &str) -> bool {
    tag == "O" || begins_or_goes_on(tag)
}

fn begins_or_goes_on(tag: &str) -> bool {
    matches!(
        tag.as_bytes(),
        [b'B' | b'I' | b'E' | b'S' | b'L' | b'U', b'-', ..]
    )
}

/// What the tags of a file are.
#[derive(Debug, Default)]
pub(super) struct TagKinds {
    outside: bool,
    entities: bool,
    /// The first one that marks no entities, with its line.
    other: Option<(u64, String)>,
}

impl TagKinds {
    pub(super) fn see(&mut self, line: u64, tag: &str) {
        match tag {
            "O" => self.outside = true,
            _ if begins_or_goes_on(tag) => self.entities = true,
            _ if self.other.is_none() => self.other = Some((line, tag.to_owned())),
            _ => {}
        }
    }

    /// The line of the tag that marks no entities where others do, and what is wrong with it.
    pub(super) fn odd_one(self, field: &str) -> Option<(u64, RowProblem)> {
        let (line, tag) = self.other.filter(|_| self.outside && self.entities)?;
        let problem = format!(
            "`{tag}` marks no entity, as other tags do: expected O, or B-, I-, E-, S-, L- or U- \
             and a type"
        );
        let field = field.to_owned();
        Some((line, RowProblem::Field { field, problem }))
    }
}

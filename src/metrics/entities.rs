//! Named entities in sequences of tags, and how many were found. The numbers are those
//! of seqeval 1.2.2, which in its default mode are conlleval's: an entity counts if its
//! type and both ends are right.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};

/// How tags mark where entities begin and end; for [`EntityMetrics::strict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `I-` inside, `B-` only where an entity follows another of its type.
    Iob1,
    /// `B-` at the beginning of every entity, `I-` on its other words.
    Iob2,
    /// `I-` inside, `E-` only where another entity of its type follows.
    Ioe1,
    /// `E-` at the end of every entity, `I-` on its other words.
    Ioe2,
    /// `B-`, `I-` and `E-` at the beginning, inside and end, `S-` on single words.
    Iobes,
    /// The same with `L-` at the end and `U-` on single words.
    Bilou,
}

impl Scheme {
    fn prefixes(self) -> &'static str {
        match self {
            Self::Iob1 | Self::Iob2 => "IOB",
            Self::Ioe1 | Self::Ioe2 => "IOE",
            Self::Iobes => "IOBES",
            Self::Bilou => "BILOU",
        }
    }

    /// The prefixes of single words and of last words.
    fn single_and_last(self) -> (char, char) {
        match self {
            Self::Bilou => ('U', 'L'),
            _ => ('S', 'E'),
        }
    }

    /// Whether an entity begins at `tag`, which follows `before`.
    fn begins(self, before: Tag, tag: Tag) -> bool {
        let same = before.kind == tag.kind;
        match (self, before.prefix, tag.prefix) {
            (Self::Iob1, 'O' | 'B', 'I') => true,
            (Self::Iob1, 'I', 'I') => !same,
            (Self::Iob1, 'I' | 'B', 'B') => same,
            (Self::Ioe1, 'O' | 'E', 'I') => true,
            (Self::Ioe1, 'I', 'I') => !same,
            (Self::Ioe1, 'E', 'E') => same,
            (Self::Ioe2, 'O' | 'E', 'I' | 'E') => true,
            (Self::Ioe2, 'I', 'I' | 'E') => !same,
            (Self::Iob2, _, 'B') => true,
            (Self::Iobes | Self::Bilou, _, prefix) => {
                prefix == 'B' || prefix == self.single_and_last().0
            }
            _ => false,
        }
    }

    /// Whether `tag` belongs to the same entity as `before`.
    fn goes_on(self, before: Tag, tag: Tag) -> bool {
        let last = match self {
            Self::Iob1 | Self::Iob2 => 'I',
            Self::Ioe1 | Self::Ioe2 | Self::Iobes => 'E',
            Self::Bilou => 'L',
        };
        let first = match self {
            Self::Ioe1 | Self::Ioe2 => 'I',
            _ => 'B',
        };
        let prefixes = [first, 'I'].contains(&before.prefix) && ['I', last].contains(&tag.prefix);
        prefixes && before.kind == tag.kind
    }

    /// Whether an entity ends at `before`, which `tag` follows.
    fn ends(self, before: Tag, tag: Tag) -> bool {
        let same = before.kind == tag.kind;
        match (self, before.prefix, tag.prefix) {
            (Self::Iob1 | Self::Iob2, 'I' | 'B', 'O') => true,
            (Self::Iob1 | Self::Iob2, 'I' | 'B', 'I') => !same,
            (Self::Iob1 | Self::Iob2, 'I', 'B') => true,
            (Self::Iob1, 'B', 'B') => same,
            (Self::Iob2, 'B', 'B') => true,
            (Self::Ioe1, 'I', 'O') => true,
            (Self::Ioe1, 'I', 'I' | 'E') => !same,
            (Self::Ioe1, 'E', 'I' | 'E') => same,
            (Self::Ioe2, 'E', _) => true,
            (Self::Iobes | Self::Bilou, prefix, _) => {
                let (single, last) = self.single_and_last();
                prefix == single || prefix == last
            }
            _ => false,
        }
    }
}

/// Some words of a sentence that belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagSpan {
    /// The type, such as `PER`; `_` where the tags name none.
    pub label: String,
    /// The first word, from 0.
    pub start: usize,
    /// The word after the last one.
    pub end: usize,
}

/// A tag in two parts.
#[derive(Clone, Copy, PartialEq)]
struct Tag<'a> {
    prefix: char,
    kind: &'a str,
}

impl<'a> Tag<'a> {
    const OUTSIDE: Tag<'static> = Tag {
        prefix: 'O',
        kind: "_",
    };

    /// The prefix is the first character; the type is what `kind` leaves of the others.
    fn split(tag: &'a str, kind: impl Fn(&'a str) -> &'a str) -> Self {
        let mut characters = tag.chars();
        let prefix = characters.next().unwrap_or('O');
        let kind = match kind(characters.as_str()) {
            "" => "_",
            kind => kind,
        };
        Self { prefix, kind }
    }

    fn lenient(tag: &'a str) -> Self {
        Self::split(tag, |rest| {
            rest.split_once('-').map_or(rest, |(_, kind)| kind)
        })
    }

    fn strict(tag: &'a str) -> Self {
        Self::split(tag, |rest| rest.trim_matches('-'))
    }
}

/// The entities that tags mark, whatever the scheme: a type that changes ends one too,
/// and a tag inside an entity that has not begun begins it.
///
/// ```
/// let spans = bertfit::tag_spans(&["B-PER", "I-PER", "O", "I-LOC"]);
/// let found: Vec<_> = spans.iter().map(|s| (s.label.as_str(), s.start, s.end)).collect();
/// assert_eq!(found, [("PER", 0, 2), ("LOC", 3, 4)]);
/// ```
pub fn tag_spans<S: AsRef<str>>(tags: &[S]) -> Vec<TagSpan> {
    lenient_spans(tags, 0, &mut 0)
}

/// The same where `first` is the number of the first word, and `start` the last word at which
/// an entity has begun: seqeval reads sentences as one sequence with an `O` after each, so that
/// an end without a beginning, such as that of `U`, `E`, is of an entity that began earlier.
fn lenient_spans<S: AsRef<str>>(tags: &[S], first: usize, start: &mut usize) -> Vec<TagSpan> {
    let mut spans = Vec::new();
    let mut before = Tag::OUTSIDE;
    let tags = tags.iter().map(|tag| Tag::lenient(tag.as_ref()));
    for (place, tag) in (first..).zip(tags.chain([Tag::OUTSIDE])) {
        let changes = before.kind != tag.kind;
        let ends = match (before.prefix, tag.prefix) {
            ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O') => true,
            ('O' | '.', _) => false,
            _ => changes,
        };
        if ends {
            spans.push(TagSpan {
                label: before.kind.to_owned(),
                start: *start,
                end: place,
            });
        }
        let begins = match (before.prefix, tag.prefix) {
            (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I') => true,
            (_, 'O' | '.') => false,
            _ => changes,
        };
        if begins {
            *start = place;
        }
        before = tag;
    }
    spans
}

/// The entities that follow a scheme to the letter.
fn strict_spans<S: AsRef<str>>(tags: &[S], scheme: Scheme) -> Result<Vec<TagSpan>> {
    let mut all = Vec::with_capacity(tags.len() + 1);
    for tag in tags {
        let split = Tag::strict(tag.as_ref());
        if !scheme.prefixes().contains(split.prefix) {
            let rule = format!("one that begins with one of {}", scheme.prefixes());
            return Err(Error::config("tag", rule, tag.as_ref()));
        }
        all.push(split);
    }
    all.push(Tag::OUTSIDE);
    let mut spans = Vec::new();
    let (mut place, mut before) = (0, Tag::OUTSIDE);
    while let Some(&tag) = all.get(place) {
        let start = place;
        place += 1;
        if scheme.begins(before, tag) {
            while scheme.goes_on(all[place - 1], all[place]) {
                place += 1;
            }
            // One that begins well may end badly; then it is none.
            if scheme.ends(all[place - 1], all[place]) {
                let (label, end) = (tag.kind.to_owned(), place);
                spans.push(TagSpan { label, start, end });
            }
        }
        before = all[place - 1];
    }
    Ok(spans)
}

/// Entities of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    right: u64,
    predicted: u64,
    target: u64,
}

impl Counts {
    fn precision(self) -> f64 {
        ratio(self.right, self.predicted)
    }

    fn recall(self) -> f64 {
        ratio(self.right, self.target)
    }

    fn f1(self) -> f64 {
        ratio(2 * self.right, self.predicted + self.target)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}

/// How many entities and words were tagged right, counted sentence by sentence.
///
/// Of nothing, every number is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityMetrics {
    scheme: Option<Scheme>,
    types: BTreeMap<String, Counts>,
    words: u64,
    right_words: u64,
    /// Words so far, and an `O` after each sentence; where predicted and right entities began.
    places: usize,
    begun: [usize; 2],
}

impl EntityMetrics {
    /// Entities as [`tag_spans`] finds them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only entities whose tags follow `scheme` count, among those predicted and among
    /// those that should have been.
    pub fn strict(scheme: Scheme) -> Self {
        Self {
            scheme: Some(scheme),
            ..Self::default()
        }
    }

    /// Takes in a sentence: the tags that were predicted, and those that are right.
    ///
    /// # Errors
    /// When a tag has a prefix that the scheme has not; in the default mode none.
    ///
    /// # Panics
    /// When there are more or fewer predicted tags than right ones.
    pub fn update<S: AsRef<str>, T: AsRef<str>>(
        &mut self,
        predicted: &[S],
        target: &[T],
    ) -> Result<()> {
        assert_eq!(predicted.len(), target.len(), "tags of one sentence");
        let (found, wanted) = match self.scheme {
            Some(scheme) => (
                strict_spans(predicted, scheme)?,
                strict_spans(target, scheme)?,
            ),
            None => {
                let [of_predicted, of_target] = &mut self.begun;
                (
                    lenient_spans(predicted, self.places, of_predicted),
                    lenient_spans(target, self.places, of_target),
                )
            }
        };
        self.places += target.len() + 1;
        let wanted: BTreeSet<TagSpan> = wanted.into_iter().collect();
        for span in &wanted {
            self.of_type(&span.label).target += 1;
        }
        for span in found {
            let counts = self.of_type(&span.label);
            counts.predicted += 1;
            counts.right += u64::from(wanted.contains(&span));
        }
        self.words += target.len() as u64;
        let pairs = predicted.iter().zip(target);
        let right = pairs.filter(|(predicted, target)| predicted.as_ref() == target.as_ref());
        self.right_words += right.count() as u64;
        Ok(())
    }

    fn of_type(&mut self, label: &str) -> &mut Counts {
        if !self.types.contains_key(label) {
            self.types.insert(label.to_owned(), Counts::default());
        }
        self.types.get_mut(label).expect("it is there now")
    }

    fn all(&self) -> Counts {
        let sum = |of: fn(&Counts) -> u64| self.types.values().map(of).sum();
        Counts {
            right: sum(|counts| counts.right),
            predicted: sum(|counts| counts.predicted),
            target: sum(|counts| counts.target),
        }
    }

    /// Of the entities predicted, of all types together, the share that is right.
    pub fn precision(&self) -> f64 {
        self.all().precision()
    }

    /// Of the entities that there are, the share that was predicted.
    pub fn recall(&self) -> f64 {
        self.all().recall()
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        self.all().f1()
    }

    /// The plain mean of the types' F1.
    pub fn f1_macro(&self) -> f64 {
        let sum: f64 = self.types.values().map(|counts| counts.f1()).sum();
        match self.types.len() {
            0 => 0.0,
            types => sum / types as f64,
        }
    }

    /// The share of words with the right tag.
    pub fn accuracy(&self) -> f64 {
        ratio(self.right_words, self.words)
    }

    /// Precision, recall and F1 of a type; `None` if it never occurred.
    pub fn of(&self, label: &str) -> Option<[f64; 3]> {
        let counts = self.types.get(label)?;
        Some([counts.precision(), counts.recall(), counts.f1()])
    }

    /// All numbers by their names in Hugging Face's results: `precision`, `recall`,
    /// `f1`, `accuracy`, and `f1_<TYPE>` of each type that occurred.
    pub fn to_metrics(&self) -> BTreeMap<String, f64> {
        let mut metrics = BTreeMap::from([
            ("precision".to_owned(), self.precision()),
            ("recall".to_owned(), self.recall()),
            ("f1".to_owned(), self.f1()),
            ("accuracy".to_owned(), self.accuracy()),
        ]);
        let types = self.types.iter();
        metrics.extend(types.map(|(label, counts)| (format!("f1_{label}"), counts.f1())));
        metrics
    }
}

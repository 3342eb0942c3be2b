//! Where in a model a variable is, by its name: what is frozen and how fast it learns depend
//! on it.

/// The part of a model that a variable belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The encoder's embeddings.
    Embeddings,
    /// A layer of the encoder, from 0.
    Layer(usize),
    /// The rest of the encoder: its pooler.
    Pooler,
    /// What the task has put on the encoder, a decoder too.
    Head,
}

impl Place {
    pub(super) fn of(name: &str) -> Self {
        let Some(part) = name.strip_prefix("bert.") else {
            return Self::Head;
        };
        // Numbers are read as numbers: layer 1 is not layer 10.
        let layer = part.strip_prefix("encoder.layer.").and_then(|rest| {
            let number = rest.split_once('.')?.0;
            number.parse().ok()
        });
        match layer {
            Some(layer) => Self::Layer(layer),
            None if part.starts_with("embeddings.") => Self::Embeddings,
            None => Self::Pooler,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_place() {
        for (name, place) in [
            ("bert.embeddings.word_embeddings.weight", Place::Embeddings),
            ("bert.encoder.layer.1.output.dense.weight", Place::Layer(1)),
            ("bert.encoder.layer.10.output.dense.bias", Place::Layer(10)),
            ("bert.pooler.dense.weight", Place::Pooler),
            ("classifier.weight", Place::Head),
            (
                "decoder.bert.encoder.layer.0.crossattention.self.key.bias",
                Place::Head,
            ),
        ] {
            assert_eq!(Place::of(name), place, "{name}");
        }
    }
}

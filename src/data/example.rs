//! One row of a text data set, and the one view of "a text or a pair of texts"
//! that training and prediction share.

/// A text to classify, or a pair of texts.
///
/// Implemented by `str` and `String` (single texts), by `(A, B)` (pairs of texts: a label in the
/// second place would be read as a text), by [`Example`], and by references to these.
pub trait Text {
    /// The text, or the first of the pair.
    fn text(&self) -> &str;

    /// The second of the pair, if there is one.
    fn pair(&self) -> Option<&str> {
        None
    }
}

impl Text for str {
    fn text(&self) -> &str {
        self
    }
}

impl Text for String {
    fn text(&self) -> &str {
        self
    }
}

impl<A: AsRef<str>, B: AsRef<str>> Text for (A, B) {
    fn text(&self) -> &str {
        self.0.as_ref()
    }

    fn pair(&self) -> Option<&str> {
        Some(self.1.as_ref())
    }
}

impl<T: Text + ?Sized> Text for &T {
    fn text(&self) -> &str {
        (**self).text()
    }

    fn pair(&self) -> Option<&str> {
        (**self).pair()
    }
}

/// A text (or a pair) with what is to be learnt about it; for classification
/// that is the name of its class.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Example<L = String> {
    /// The text, or the first of the pair.
    pub text: String,
    /// The second of the pair, if there is one.
    pub pair: Option<String>,
    /// What is to be learnt.
    pub label: L,
}

impl<L> Example<L> {
    /// A single text with its label.
    pub fn new(text: impl Into<String>, label: impl Into<L>) -> Self {
        Self {
            text: text.into(),
            pair: None,
            label: label.into(),
        }
    }

    /// The same with a second text.
    pub fn with_pair(mut self, pair: impl Into<String>) -> Self {
        self.pair = Some(pair.into());
        self
    }
}

/// A single text and its label, as many a program has them.
impl<T: Into<String>, L> From<(T, L)> for Example<L> {
    fn from((text, label): (T, L)) -> Self {
        Self::new(text, label)
    }
}

impl<L> Text for Example<L> {
    fn text(&self) -> &str {
        &self.text
    }

    fn pair(&self) -> Option<&str> {
        self.pair.as_deref()
    }
}

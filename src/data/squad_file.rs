//! Files of questions to [`QaExample`]s: SQuAD's JSON (Rajpurkar et al. 2016, 2018) and the
//! rows that `datasets` makes of it.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decompress::{Unpack, open};
use super::skipped::SkippedRows;
use super::squad::{QaExample, QaSpan, character_starts, misplaced, nearest, stands_at};
use super::squad_json::{Item, Part, Question, RawAnswer, Row, Top};
use crate::error::{Error, PathContext, Result, shown};

/// A file of questions, plain or compressed (`.gz`, `.xz`): JSON in SQuAD's form, version 1.1 or
/// 2.0, or rows with `id`, `context`, `question` and `answers`, which is
/// `{"text": […], "answer_start": […]}` or a list of objects. Rows stand in a list, in a list
/// under the key `data`, one on each line, or in Parquet.
///
/// Ids are texts or whole numbers. A question has no answer if its answers are `null` or empty, or
/// if it says `"is_impossible": true`, then whatever its answers are; an answer whose text is empty
/// is none. The key `answers` may be absent in a whole file, which is then one to predict.
///
/// ```no_run
/// # use bertfit::SquadFile;
/// let train = SquadFile::open("train-v2.0.json").read()?;
/// println!("{}", train[0].question);
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SquadFile {
    path: PathBuf,
    unpack: Unpack,
    skipped: Option<SkippedRows>,
}

/// What is asked of answers.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// They stand where the file says.
    Placed,
    /// Their texts, wherever these stand.
    Texts,
    /// Nothing: they are not read.
    Ignored,
}

/// Where a question stands in its file.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The line of a row on its own, from 1.
    line: Option<usize>,
    /// The element of the list at the top, or of that under the key `data`.
    element: Option<(&'static str, usize)>,
    /// Paragraph of an article, and question of the paragraph.
    paragraph: Option<usize>,
    question: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}")?;
        }
        if let Some((list, element)) = self.element {
            write!(f, "{list}[{element}]")?;
        }
        if let Some(paragraph) = self.paragraph {
            let dot = if self.element.is_some() { "." } else { " " };
            write!(f, "{dot}paragraphs[{paragraph}]")?;
        }
        if let Some(question) = self.question {
            write!(f, ".qas[{question}]")?;
        }
        Ok(())
    }
}

/// What the questions of a file become, as they are read.
struct Reading<'a> {
    path: &'a Path,
    answers: Answers,
    /// Where questions that cannot be used are listed; without it, the first one ends the reading.
    skipped: Option<&'a SkippedRows>,
    first_skipped: Option<String>,
    examples: Vec<QaExample>,
    ids: HashSet<String>,
    /// Whether a question has the key of answers.
    answered: bool,
    /// Examples without it that do not say that there is none.
    unanswered: Vec<(usize, Place)>,
    misplaced: Noted,
    /// Questions with answers that are said to have none.
    impossible: Noted,
}

/// What is said once, of the first of several questions.
#[derive(Default)]
struct Noted {
    count: usize,
    first: Option<String>,
}

impl Noted {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(first);
    }
}

impl SquadFile {
    /// The file at `path`. It is opened when it is read.
    pub fn open(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            unpack: Unpack::default(),
            skipped: None,
        }
    }

    /// Leaves out questions that cannot be used and adds them to `skipped`, instead of ending
    /// with an error at the first one.
    pub fn skip_bad_rows(mut self, skipped: &SkippedRows) -> Self {
        self.skipped = Some(skipped.clone());
        self
    }

    /// Lifts the limits of a compressed file, for one that you trust: by default it may not
    /// become more than 64 MiB and 200 times its size, nor ask for more than 256 MiB of memory.
    pub fn unpack_everything(mut self) -> Self {
        self.unpack = Unpack::Everything;
        self
    }

    /// All questions, in the order of the file, to learn from: each answer stands where the
    /// file says.
    ///
    /// # Errors
    /// - [`Error::Read`]: the file cannot be opened, read or decompressed.
    /// - [`Error::Json`]: it is not JSON of a known form.
    /// - [`Error::File`]: it has no questions, two have the same id, a question or a
    ///   context is empty, a field is absent or of another type, or an answer does not stand where
    ///   it should.
    pub fn read(&self) -> Result<Vec<QaExample>> {
        self.read_with(Answers::Placed)
    }

    /// All questions, to evaluate on, where the texts of answers are what counts: one that does
    /// not stand where the file says gets the nearest place where it stands, or none, and a
    /// warning says how many there are.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for places of answers.
    pub fn read_to_evaluate(&self) -> Result<Vec<QaExample>> {
        self.read_with(Answers::Texts)
    }

    /// All questions without their answers, for prediction.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for what concerns answers.
    pub fn read_questions(&self) -> Result<Vec<QaExample>> {
        self.read_with(Answers::Ignored)
    }

    fn read_with(&self, answers: Answers) -> Result<Vec<QaExample>> {
        let path = &self.path;
        let mut text = Vec::new();
        open(path, self.unpack)?
            .read_to_end(&mut text)
            .reading(path)?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let mut reading = Reading {
            path,
            answers,
            skipped: self.skipped.as_ref(),
            first_skipped: None,
            examples: Vec::new(),
            ids: HashSet::new(),
            answered: false,
            unanswered: Vec::new(),
            misplaced: Noted::default(),
            impossible: Noted::default(),
        };
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Top>();
        let (mut line, mut seen) = (1, 0);
        loop {
            let blank = |byte: &&u8| byte.is_ascii_whitespace();
            let start = values.byte_offset();
            let start = start + text[start..].iter().take_while(blank).count();
            line += text[seen..start].iter().filter(|&&b| b == b'\n').count();
            seen = start;
            match values.next() {
                None => break,
                Some(Ok(top)) => reading.top(top, line)?,
                Some(Err(source)) => {
                    let path = path.clone();
                    return Err(Error::Json { path, source });
                }
            }
        }
        reading.finish()
    }
}

impl Reading<'_> {
    fn top(&mut self, top: Top, line: usize) -> Result<()> {
        let (list, items) = match top {
            Top::Data(items) => ("data", items),
            Top::List(items) => ("", items),
            Top::One(item) => {
                let line = Some(line);
                let place = Place::default();
                return self.item(item, Place { line, ..place });
            }
        };
        for (number, item) in items.into_iter().enumerate() {
            let element = Some((list, number));
            let place = Place::default();
            self.item(item, Place { element, ..place })?;
        }
        Ok(())
    }

    fn item(&mut self, item: Part<Item>, place: Place) -> Result<()> {
        let paragraphs = match item.0 {
            Err(problem) => return self.leave_out(None, place, &problem),
            Ok(Item::Article(paragraphs)) => paragraphs,
            Ok(Item::Row(row)) => {
                let Row { context, question } = *row;
                let context = match self.examples.last() {
                    // Questions on the same context mostly follow each other.
                    Some(last) if *last.context == *context => Arc::clone(&last.context),
                    _ => context.into(),
                };
                let starts = character_starts(&context);
                return self.question(question, &context, &starts, place);
            }
        };
        for (number, paragraph) in paragraphs.into_iter().enumerate() {
            let paragraph_place = Place {
                paragraph: Some(number),
                ..place
            };
            let paragraph = match paragraph.0 {
                Ok(paragraph) => paragraph,
                Err(problem) => {
                    self.leave_out(None, paragraph_place, &problem)?;
                    continue;
                }
            };
            let context: Arc<str> = paragraph.context.into();
            let starts = character_starts(&context);
            for (row, question) in paragraph.qas.into_iter().enumerate() {
                let place = Place {
                    question: Some(row),
                    ..paragraph_place
                };
                match question.0 {
                    Ok(question) => self.question(question, &context, &starts, place)?,
                    Err(problem) => self.leave_out(None, place, &problem)?,
                }
            }
        }
        Ok(())
    }

    fn question(
        &mut self,
        question: Question,
        context: &Arc<str>,
        starts: &[usize],
        place: Place,
    ) -> Result<()> {
        let mut example = QaExample {
            id: question.id.0,
            question: question.question,
            context: Arc::clone(context),
            answers: Vec::new(),
        };
        let impossible = question.is_impossible == Some(true);
        let is_given = question.answers.is_some();
        let mut given = question.answers.unwrap_or_default().0;
        if self.answers == Answers::Ignored {
            given.clear();
        } else {
            self.answered |= is_given;
        }
        if impossible && given.iter().any(RawAnswer::has_text) {
            let first = || format!("{place} (`{}`)", shown(&example.id));
            self.impossible.add(first);
            given.clear();
        }
        let mut misplaced = None;
        for answer in given.into_iter().filter(RawAnswer::has_text) {
            let text = answer.text.unwrap_or_default();
            let (span, problem) = placed(context, starts, text, answer.answer_start.0);
            example.answers.push(span);
            misplaced = misplaced.or(problem);
        }
        let problem = match self.ids.contains(&example.id) {
            true => Some("an earlier question has the same id".to_owned()),
            false => example.text_problem(),
        };
        let strict = self.answers == Answers::Placed;
        match (problem, misplaced) {
            (Some(problem), _) => return self.leave_out(Some(&example.id), place, &problem),
            (None, Some(problem)) if strict => {
                return self.leave_out(Some(&example.id), place, &problem);
            }
            (None, Some(problem)) => self
                .misplaced
                .add(|| format!("{place} (`{}`): {problem}", shown(&example.id))),
            (None, None) => {}
        }
        if !is_given && !impossible && self.answers != Answers::Ignored {
            self.unanswered.push((self.examples.len(), place));
        }
        self.ids.insert(example.id.clone());
        self.examples.push(example);
        Ok(())
    }

    /// Ends the reading at a part that cannot be used, or goes on without it.
    fn leave_out(&mut self, id: Option<&str>, place: Place, problem: &str) -> Result<()> {
        let id = id.map_or(String::new(), |id| format!(" (`{}`)", shown(id)));
        let problem = format!("{place}{id}: {problem}");
        let Some(skipped) = self.skipped else {
            let help = "(--on-bad-row skip leaves such questions out)";
            return self.refuse(format!("{problem} {help}"));
        };
        let line = place.line.map(|line| line as u64);
        skipped.add(self.path.to_owned(), line, problem.clone());
        self.first_skipped.get_or_insert(problem);
        Ok(())
    }

    /// Leaves out questions without the key of answers, where others have it.
    fn leave_out_unanswered(&mut self) -> Result<()> {
        if !self.answered {
            return Ok(());
        }
        let mut unanswered = std::mem::take(&mut self.unanswered);
        for &(example, place) in &unanswered {
            let id = self.examples[example].id.clone();
            let problem = "missing field `answers`, which other questions have; where there is no \
                           answer it is an empty list";
            self.leave_out(Some(&id), place, problem)?;
        }
        unanswered.reverse();
        for (example, _) in unanswered {
            self.examples.remove(example);
        }
        Ok(())
    }

    fn refuse<T>(&self, problem: String) -> Result<T> {
        let path = self.path.to_owned();
        Err(Error::File { path, problem })
    }

    fn finish(mut self) -> Result<Vec<QaExample>> {
        self.leave_out_unanswered()?;
        match (self.examples.is_empty(), &self.first_skipped) {
            (true, None) => return self.refuse("there are no questions".to_owned()),
            (true, Some(first)) => {
                return self.refuse(format!("no question can be used, the first is {first}"));
            }
            (false, _) => {}
        }
        let (path, questions) = (self.path.display(), self.examples.len());
        if let Noted {
            count,
            first: Some(first),
        } = &self.misplaced
        {
            log::warn!(
                "{path}: {count} of {questions} questions have an answer that does not stand where \
                 the file says; its text is compared all the same; the first is {first}"
            );
        }
        if let Noted {
            count,
            first: Some(first),
        } = &self.impossible
        {
            log::warn!(
                "{path}: {count} of {questions} questions have answers and say that they are \
                 impossible; they are taken to have no answer; the first is {first}"
            );
        }
        Ok(self.examples)
    }
}

/// An answer at its place or, with what is wrong, at the one that was probably meant.
fn placed(
    context: &str,
    starts: &[usize],
    text: String,
    start: Option<i64>,
) -> (QaSpan, Option<String>) {
    let at = start.and_then(|start| usize::try_from(start).ok());
    if let Some(at) = at
        && stands_at(context, starts, &text, at)
    {
        let start = Some(at);
        return (QaSpan { text, start }, None);
    }
    let place = nearest(context, starts, &text, at.unwrap_or(0));
    let problem = match start {
        Some(start) => misplaced(&text, &start.to_string(), place),
        None => format!("the answer `{}` has no `answer_start`", shown(&text)),
    };
    let start = place;
    (QaSpan { text, start }, Some(problem))
}

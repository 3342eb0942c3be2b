//! Which flag an error is of, and which helps where a file or a model is not what it should be.

use std::path::Path;

use bertfit::{Error, RowProblem};
use clap::parser::ValueSource;
use clap::{ArgMatches, Id};

use super::Common;

/// A way out of an error, if a flag is one.
pub fn hint(error: &Error, common: &Common) -> Option<&'static str> {
    let is = |file: &Option<std::path::PathBuf>, path: &Path| file.as_deref() == Some(path);
    match error {
        Error::OtherHead { .. }
        | Error::ModelConfig {
            field: "problem_type" | "id2label",
            ..
        } if common.train.is_some() => {
            Some("--fresh-head gives the model a new one, for the labels of --train")
        }
        Error::WeightShape { name, .. }
            if name.starts_with("classifier.") && common.train.is_some() =>
        {
            Some("--fresh-head gives the model a new head, for the labels of --train")
        }
        // Of the model's own files no line can be left out.
        Error::Line { path, .. }
            if ![&common.train, &common.dev, &common.test]
                .into_iter()
                .any(|file| is(file, path)) =>
        {
            None
        }
        Error::Line {
            path,
            problem: RowProblem::UnknownLabel { label, .. },
            ..
        } => Some(match label.as_str() {
            "-1" if !is(&common.test, path) => {
                "-1 is how a row without a gold label is marked: --on-bad-row skip leaves such \
                 rows out; if it is a class, name it in --labels"
            }
            _ if is(&common.train, path) => {
                "--fresh-head gives a fitted model a new head for the labels of --train, --labels \
                 names the classes that files have names or ids of"
            }
            _ if is(&common.test, path) => {
                "--labels names all classes, --no-test-labels predicts without looking at labels, \
                 --on-bad-row skip leaves such rows out"
            }
            _ => "--labels names all classes, --on-bad-row skip leaves such rows out",
        }),
        Error::Line { path, problem, .. } if !matches!(problem, RowProblem::Changed) => {
            Some(match is(&common.test, path) {
                true => {
                    "--on-bad-row skip leaves such rows out, --no-test-labels does not look at \
                     labels"
                }
                false => "--on-bad-row skip leaves such rows out",
            })
        }
        _ => None,
    }
}

/// Whether an error is of a setting that the command line gives, as one that cannot be parsed.
pub fn is_flag(error: &Error, flags: &ArgMatches) -> bool {
    let Error::Config { field, .. } = error else {
        return false;
    };
    let is_given = |id: &Id| flags.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    flags.ids().any(|id| id.as_str() == *field && is_given(id))
}

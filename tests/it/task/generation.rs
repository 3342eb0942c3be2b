//! What a generator writes, against transformers' `generate`.

use bertfit::tch::{Kind, no_grad};
use bertfit::{BertGenerator, Example, FineTuner, Generation, StopBeams};
use serde_json::{Value, json};

use super::generator::{BOTH, of_transformers, reference, rows};
use super::parity::run;
use crate::fixture::{assert_close, batch_of, data};

/// transformers' settings of a search, or of drawing.
fn generation(settings: &Value) -> Generation {
    let count = |name: &str| settings[name].as_u64().map(|n| n as usize);
    let number = |name: &str| settings[name].as_f64();
    let usual = Generation::default();
    let early = match &settings["early_stopping"] {
        Value::Bool(true) => StopBeams::Early,
        Value::String(_) => StopBeams::Never,
        _ => StopBeams::Heuristic,
    };
    Generation {
        max_new_tokens: count("max_new_tokens"),
        num_beams: count("num_beams").unwrap_or(1),
        no_repeat_ngram_size: count("no_repeat_ngram_size").unwrap_or(0),
        length_penalty: number("length_penalty").unwrap_or(1.0),
        early_stopping: early,
        temperature: number("temperature").unwrap_or(1.0),
        top_k: count("top_k").unwrap_or(usual.top_k),
        top_p: number("top_p").unwrap_or(1.0),
        ..usual
    }
}

#[test]
fn transformers_loads_a_saved_model_and_writes_the_same() {
    let Ok(python) = std::env::var("BERTFIT_PYTHON") else {
        eprintln!("not run: BERTFIT_PYTHON is not set");
        return;
    };
    let texts: Vec<String> = rows().into_iter().map(|row| row.text).collect();
    for (task, num_beams) in [(BOTH[0], 1), (BOTH[1], 3)] {
        let path = data(&format!("task/{task}"));
        let model = BertGenerator::saved(path).max_target_length(9).build();
        let model = model.expect("a model");
        let generation = Generation {
            num_beams,
            ..Generation::default()
        };
        let written = model.generate(&texts, &generation).expect("texts");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let saved = dir.path().join("model");
        model.save(&saved).expect("a saved model");
        let settings = json!({"num_beams": num_beams});
        let rows = json!({"texts": texts, "settings": settings, "written": written});
        let path = dir.path().join("rows.json");
        std::fs::write(&path, rows.to_string()).expect("a file");
        run(
            &python,
            "task/check_generate.py",
            &saved,
            "EncoderDecoderModel",
            &path,
        );
    }
}

#[test]
fn texts_are_those_of_transformers_token_for_token_with_and_without_a_cache() {
    for task in BOTH {
        let model = of_transformers(task);
        let reference = reference(task);
        let searches = reference["searches"].as_array().expect("searches");
        assert_eq!(searches.len(), 60);
        for search in searches {
            let settings = &search["settings"];
            let theirs: Vec<Vec<i64>> = serde_json::from_value(search["ids"].clone()).expect("ids");
            for use_cache in [true, false] {
                let generation = Generation {
                    use_cache,
                    ..generation(settings)
                };
                let ours = model.generate_ids(&rows(), &generation).expect("texts");
                assert_eq!(ours, theirs, "{task} {settings} {use_cache}");
            }
        }
    }
}

#[test]
fn tokens_are_drawn_as_often_as_transformers_says() {
    let model = of_transformers(BOTH[0]);
    let text = rows().swap_remove(0);
    let texts = vec![text; 4000];
    for draw in reference(BOTH[0])["draws"].as_array().expect("draws") {
        let generation = Generation {
            do_sample: true,
            max_new_tokens: Some(1),
            ..generation(&draw["settings"])
        };
        let drawn = model.generate_ids(&texts, &generation).expect("texts");
        let shares = draw["shares"].as_object().expect("shares");
        let share = |id: &str| shares[id].as_f64().expect("a share");
        let mut counts = std::collections::HashMap::new();
        for text in &drawn {
            *counts.entry(text[0].to_string()).or_insert(0.0) += 1.0;
        }
        // What may not come has no share.
        assert!(counts.keys().all(|id| shares.contains_key(id)));
        for id in shares.keys() {
            let expected = share(id) * texts.len() as f64;
            let deviation = (expected * (1.0 - share(id))).sqrt();
            let count = counts.get(id).copied().unwrap_or(0.0);
            let off = (count - expected).abs();
            assert!(
                off <= 5.0 * deviation + 1.0,
                "{id}: {count}, not {expected}"
            );
        }
        assert_eq!(
            drawn,
            model.generate_ids(&texts, &generation).expect("texts")
        );
    }
}

#[test]
fn a_drawn_text_depends_on_its_seed_and_place_alone() {
    let model = of_transformers(BOTH[0]);
    let sample = |texts: &[Example], seed| {
        let generation = Generation {
            do_sample: true,
            seed,
            ..Generation::default()
        };
        model.generate_ids(texts, &generation).expect("texts")
    };
    let rows = rows();
    let all = sample(&rows, 1);
    assert_eq!(all, sample(&rows, 1));
    assert_ne!(all, sample(&rows, 2));
    assert_eq!(all[..2], sample(&rows[..2], 1));
    // The likeliest token alone is what a search without drawing finds.
    let greedy = model.generate_ids(&rows, &Generation::default());
    for (top_k, top_p, temperature) in [(1, 1.0, 1.0), (0, 1e-9, 1.0), (0, 1.0, 1e-4)] {
        let generation = Generation {
            do_sample: true,
            top_k,
            top_p,
            temperature,
            ..Generation::default()
        };
        let ours = model.generate_ids(&rows, &generation).expect("texts");
        assert_eq!(&ours, greedy.as_ref().expect("texts"));
    }
}

#[test]
fn settings_out_of_their_range_are_refused() {
    let model = of_transformers(BOTH[0]);
    let usual = Generation::default;
    let refused = |generation: Generation, field: &str| {
        let error = model.generate(&["film"], &generation).expect_err("refused");
        assert!(error.to_string().contains(field), "{error}");
    };
    let positions = 64;
    refused(
        Generation {
            max_new_tokens: Some(0),
            ..usual()
        },
        "max_new_tokens",
    );
    refused(
        Generation {
            max_new_tokens: Some(positions + 1),
            ..usual()
        },
        "max_new_tokens",
    );
    refused(
        Generation {
            num_beams: 0,
            ..usual()
        },
        "num_beams",
    );
    refused(
        Generation {
            num_beams: 124,
            ..usual()
        },
        "num_beams",
    );
    refused(
        Generation {
            num_beams: 2,
            do_sample: true,
            ..usual()
        },
        "num_beams",
    );
    refused(
        Generation {
            length_penalty: f64::NAN,
            ..usual()
        },
        "length_penalty",
    );
    refused(
        Generation {
            temperature: 0.0,
            ..usual()
        },
        "temperature",
    );
    refused(
        Generation {
            temperature: f64::INFINITY,
            ..usual()
        },
        "temperature",
    );
    refused(
        Generation {
            top_p: 0.0,
            ..usual()
        },
        "top_p",
    );
    refused(
        Generation {
            top_p: 1.1,
            ..usual()
        },
        "top_p",
    );
    // All positions can be written.
    let all = Generation {
        max_new_tokens: Some(positions),
        no_repeat_ngram_size: 1,
        ..usual()
    };
    model.generate(&["film"], &all).expect("a text");
    let many = Generation {
        num_beams: 123,
        no_repeat_ngram_size: 1,
        ..usual()
    };
    model.generate(&["film"], &many).expect("a text");
}

#[test]
fn texts_are_nearly_the_same_in_bf16() {
    if !bertfit::cpu_has_bf16() {
        return;
    }
    let path = data("task/text_generation");
    let builder = BertGenerator::saved(&path).precision(bertfit::Precision::Bf16);
    let half = builder.build().expect("a model");
    let whole = of_transformers(BOTH[0]);
    let batch = batch_of(&whole, &rows());
    let logits = |model: &BertGenerator| {
        let logits = no_grad(|| model.logits(&batch.inputs, false)).expect("logits");
        logits.to_kind(Kind::Float)
    };
    assert_close("logits", &logits(&half), &logits(&whole), 0.2);
    let generation = Generation {
        num_beams: 3,
        ..Generation::default()
    };
    let texts = half.generate(&rows(), &generation).expect("texts");
    assert_eq!(texts.len(), rows().len());
}

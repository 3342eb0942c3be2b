//! Hidden tokens as a user meets them, and against transformers and rust-bert.

use bertfit::tch::{Kind, Tensor};
use bertfit::{
    BertClassifier, BertMaskedLm, Collator, Dataset, FineTuner, Inputs, MaskCollator, Masking,
    Padding, TokenBlocks, TrainConfig,
};
use rust_bert::pipelines::common::{ModelResource, ModelType};
use rust_bert::pipelines::masked_language::{MaskedLanguageConfig, MaskedLanguageModel};
use rust_bert::resources::LocalResource;
use serde_json::json;

use super::parity::{logits, numbers_equal, transformers_loads};
use crate::fixture::{assert_close, data, minilm, tensors, tiny, with_config};

fn of_transformers() -> BertMaskedLm {
    BertMaskedLm::load(data("task/masked_lm")).expect("a model")
}

fn reference() -> Vec<String> {
    let text = std::fs::read_to_string(data("task/masked_lm.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_batch_gives_the_numbers_of_transformers() {
    let expected = tensors(data("task/masked_lm.safetensors"));
    let part = |name: &str| expected[name].shallow_clone();
    let labels = part("labels").reshape([-1]);
    let places = labels.ne(-100).nonzero().squeeze_dim(1);
    let target = labels.index_select(0, &places);
    let inputs = Inputs::new(
        part("input_ids"),
        part("attention_mask"),
        part("token_type_ids"),
    );
    let model = of_transformers();
    let device = model.backbone().device();
    let inputs = inputs
        .at(places)
        .to_device(device)
        .expect("the same inputs");
    numbers_equal(
        &model,
        &inputs,
        &target.to_device(device),
        "masked_lm",
        logits,
    );
}

/// The head has the same name in all models that have one, whatever they are called.
#[test]
fn the_head_of_any_pre_trained_model_is_used() {
    let expected = of_transformers();
    for name in ["BertForPreTraining", "BertLMHeadModel", "BertModel"] {
        let dir = with_config(&data("task/masked_lm"), &[("architectures", json!([name]))]);
        let model = BertMaskedLm::builder(dir.path()).build().expect("a model");
        let (ours, theirs) = (model.backbone(), expected.backbone());
        for (name, weight) in theirs.named_variables() {
            assert_eq!(ours.named_variables()[&name], weight, "{name}");
        }
    }
}

#[test]
fn transformers_loads_a_saved_model() {
    let real = BertMaskedLm::builder(minilm()).build().expect("a model");
    for model in [of_transformers(), real] {
        let blocks = model.blocks(&reference()).expect("blocks");
        let blocks: Vec<_> = (0..blocks.len())
            .map(|row| blocks.get(row).expect("a block"))
            .collect();
        transformers_loads(&model, &blocks, "AutoModelForMaskedLM", logits);
    }
}

#[test]
fn rust_bert_loads_a_saved_model() {
    let model = BertMaskedLm::builder(minilm()).build().expect("a model");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    model.save_for_rust_bert(&saved).expect("a saved model");
    let file = |name: &str| LocalResource {
        local_path: saved.join(name),
    };
    let config = MaskedLanguageConfig::new(
        ModelType::Bert,
        ModelResource::Torch(Box::new(file("model.safetensors"))),
        file("config.json"),
        file("vocab.txt"),
        None,
        true,
        None,
        None,
        None,
    );
    let pipeline = MaskedLanguageModel::new(config).expect("rust-bert's pipeline");
    let texts = ["Paris is the [MASK] of France.", "[MASK] likes [MASK]."];
    let theirs = pipeline.predict(texts).expect("tokens");
    let ours = model.fill_mask(&texts, 1).expect("tokens");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let ids: Vec<i64> = theirs.iter().map(|token| token.id).collect();
        let best: Vec<i64> = ours.iter().map(|fills| fills[0].token_id).collect();
        assert_eq!(best, ids);
    }
}

const TEXTS: [&str; 4] = [
    "the film was very good",
    "the food was very bad",
    "is it good ?",
    "i was not there",
];

#[test]
fn hidden_tokens_are_learnt_and_filled_in() {
    let texts = ["the film was good", "this food is bad", "i had one movie"];
    let often = Masking {
        probability: 0.3,
        ..Masking::default()
    };
    let builder = BertMaskedLm::builder(tiny()).masking(often);
    let mut model = builder.build().expect("a model");
    let train = TokenBlocks::by_text(&texts, model.backbone().tokenizer(), 16).expect("blocks");
    let before = model.evaluate(&train).expect("an evaluation");
    let config = TrainConfig {
        epochs: 200.0,
        learning_rate: 5e-3,
        ..TrainConfig::default()
    };
    model.fit(&train, &train, &config).expect("a run");
    let after = model.evaluate(&train).expect("an evaluation");
    assert!(after.loss < 0.5 * before.loss, "{before:?} {after:?}");
    let texts = ["the [MASK] was good", "[MASK] food is [MASK]"];
    let fills = model.fill_mask(&texts, 3).expect("tokens");
    let best: Vec<Vec<&str>> = fills
        .iter()
        .map(|masks| masks.iter().map(|fills| &fills[0].token[..]).collect())
        .collect();
    assert_eq!(best, [vec!["film"], vec!["this", "bad"]]);
    for fills in fills.iter().flatten() {
        assert_eq!(fills.len(), 3);
        assert!(fills.is_sorted_by(|a, b| a.score >= b.score));
        assert!(fills.iter().map(|fill| fill.score).sum::<f32>() <= 1.0 + 1e-6);
    }
    // The batch makes no difference.
    let alone = model.fill_mask(&texts[1..], 3).expect("tokens");
    for (a, b) in alone[0].iter().flatten().zip(fills[1].iter().flatten()) {
        assert_eq!(a.token_id, b.token_id);
        assert!((a.score - b.score).abs() < 1e-5);
    }

    // Another task starts from what was learnt here.
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("adapted");
    model.save(&saved).expect("a saved model");
    let classifier = BertClassifier::builder(&saved)
        .labels(["a", "b"])
        .build()
        .expect("a classifier");
    let theirs = classifier.backbone().named_variables();
    for (name, weight) in model.backbone().named_variables() {
        if name.starts_with("bert.") {
            assert_eq!(weight, theirs[&name], "{name}");
        }
    }
    let again = BertMaskedLm::load(&saved).expect("a model");
    assert_eq!(again.fill_mask(&texts, 3).expect("tokens"), fills);
}

#[test]
fn each_epoch_hides_other_tokens_and_an_evaluation_the_same() {
    let model = of_transformers();
    let collator = model.collator().expect("a collator");
    let blocks = model.blocks(&[TEXTS.join(" ").repeat(5)]).expect("blocks");
    let rows = [blocks.get(0).expect("a block")];
    let hidden = |seed| {
        let batch = collator.collate_seeded(&rows, &[seed]).expect("a batch");
        Vec::<i64>::try_from(batch.inputs.input_ids().reshape([-1])).expect("ids")
    };
    assert_eq!(hidden(1), hidden(1));
    assert_ne!(hidden(1), hidden(2));
    let loss = || model.evaluate(&blocks).expect("an evaluation").loss;
    assert_eq!(loss(), loss());
    // Rows in other batches are hidden in the same way.
    let by = |rows| {
        bertfit::evaluate(&model, &blocks, rows)
            .expect("an evaluation")
            .loss
    };
    assert!((by(1) - by(64)).abs() < 1e-5);
}

/// What stands in the places of 40,000 tokens.
fn shares(masking: Masking) -> [f64; 4] {
    let model = BertMaskedLm::builder(tiny())
        .masking(masking)
        .build()
        .expect("a model");
    let text = "the film was unbelievably good and the food wonderfully bad . ".repeat(2000);
    let blocks = model.blocks(&[text]).expect("blocks");
    let rows: Vec<_> = (0..blocks.len())
        .map(|row| blocks.get(row).expect("a block"))
        .collect();
    let collator = model.collator().expect("a collator");
    let batch = collator.collate(&rows).expect("a batch");
    let places = batch.inputs.places().expect("places");
    let ids = batch.inputs.input_ids().reshape([-1]);
    let now = ids.index_select(0, places);
    let count = batch.target.size()[0] as f64;
    let share = |x: Tensor| x.sum(Kind::Int64).double_value(&[]) / count;
    let mask = model.backbone().tokenizer().mask_id();
    [
        count / blocks.tokens() as f64,
        share(now.eq(mask)),
        share(now.eq_tensor(&batch.target)),
        // Outside of these places nothing is changed.
        share(ids.eq(mask)) - share(now.eq(mask)),
    ]
}

#[test]
fn tokens_are_hidden_as_often_as_asked_for() {
    let close = |found: [f64; 4], expected: [f64; 4]| {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.02, "{found} {expected}");
        }
    };
    // A random token may be the right one.
    close(shares(Masking::default()), [0.15, 0.8, 0.1, 0.0]);
    let whole_words = Masking {
        whole_words: true,
        ..Masking::default()
    };
    close(shares(whole_words), [0.15, 0.8, 0.1, 0.0]);
    let all = Masking {
        probability: 1.0,
        masked: 1.0,
        random: 0.0,
        whole_words: false,
    };
    assert_eq!(shares(all), [1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn whole_words_are_hidden_with_all_their_tokens() {
    let model = BertMaskedLm::builder(tiny())
        .masking(Masking {
            whole_words: true,
            masked: 1.0,
            random: 0.0,
            ..Masking::default()
        })
        .build()
        .expect("a model");
    let tokenizer = model.backbone().tokenizer();
    let blocks = model
        .blocks(&["the film was unbelievably good ".repeat(50)])
        .expect("blocks");
    let collator = model.collator().expect("a collator");
    let (mut hidden, mut whole) = (0, 0);
    for row in 0..blocks.len() {
        let block = blocks.get(row).expect("a block");
        let batch = collator
            .collate_seeded(std::slice::from_ref(&block), &[row as u64])
            .expect("a batch");
        let now = Vec::<i64>::try_from(batch.inputs.input_ids().reshape([-1])).expect("ids");
        let now = &now[1..now.len() - 1];
        let goes_on = |id: i64| {
            tokenizer
                .id_to_token(id)
                .expect("a token")
                .starts_with("##")
        };
        for place in 1..now.len() {
            if goes_on(block.input_ids[place]) {
                let is_hidden = now[place] == tokenizer.mask_id();
                assert_eq!(is_hidden, now[place - 1] == tokenizer.mask_id());
                hidden += usize::from(is_hidden);
                whole += 1;
            }
        }
    }
    assert!(0 < hidden && hidden < whole, "{hidden} of {whole}");
}

#[test]
fn blocks_hold_every_token_once() {
    let model = of_transformers();
    let tokenizer = model.backbone().tokenizer();
    let texts = ["the film was good", "", "bad food , very bad food", "\u{0}"];
    let own = |text: &str| -> Vec<i64> {
        let ids = tokenizer.encode(text, None, 1000, Default::default());
        let ids = ids.expect("an encoding").input_ids;
        ids[1..ids.len() - 1].to_vec()
    };
    let all = |blocks: &TokenBlocks| -> Vec<Vec<i64>> {
        let rows = 0..blocks.len();
        rows.map(|row| blocks.get(row).expect("a block").input_ids)
            .collect()
    };
    let packed = TokenBlocks::packed(&texts, tokenizer, 7).expect("blocks");
    let expected = [own(texts[0]), vec![tokenizer.sep_id()], own(texts[2])].concat();
    assert_eq!(all(&packed).concat(), expected);
    let (last, full) = all(&packed)
        .split_last()
        .map(|(a, b)| (a.clone(), b.to_vec()))
        .expect("blocks");
    assert!(full.iter().all(|block| block.len() == 5) && last.len() <= 5);
    let by_text = TokenBlocks::by_text(&texts, tokenizer, 7).expect("blocks");
    assert_eq!(
        all(&by_text).concat(),
        [own(texts[0]), own(texts[2])].concat()
    );
    assert_eq!(all(&by_text)[0], own(texts[0]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = of_transformers();
    let message = |result: bertfit::Result<_>| result.map(|_| ()).expect_err("refused").to_string();
    assert_eq!(
        message(model.fill_mask(&["[MASK] film", "no mask"], 1)),
        "row 1: field `text`: no [MASK] in it"
    );
    let late = "film ".repeat(100) + "[MASK]";
    assert!(
        message(model.fill_mask(&[late], 1))
            .starts_with("row 0: field `text`: no [MASK] in its first ")
    );
    assert!(message(model.fill_mask(&["[MASK]"], 0)).contains("top_k"));
    assert!(message(model.fill_mask(&["[MASK]"], 1_000_000)).contains("top_k"));
    let none: [&str; 0] = [];
    assert!(model.fill_mask(&none, 1).expect("nothing").is_empty());
    assert!(TokenBlocks::packed(&["", " "], model.backbone().tokenizer(), 16).is_err());
    assert!(TokenBlocks::packed(&["a"], model.backbone().tokenizer(), 2).is_err());
    for masking in [
        Masking {
            probability: 0.0,
            ..Masking::default()
        },
        Masking {
            probability: f64::NAN,
            ..Masking::default()
        },
        Masking {
            masked: 0.8,
            random: 0.3,
            ..Masking::default()
        },
        Masking {
            random: -0.1,
            ..Masking::default()
        },
    ] {
        let built = BertMaskedLm::builder(tiny()).masking(masking).build();
        assert!(built.is_err(), "{masking:?}");
    }
    let untied = crate::fixture::with_config(&tiny(), &[("tie_word_embeddings", false.into())]);
    let error = BertMaskedLm::builder(untied.path())
        .build()
        .expect_err("another head");
    assert!(error.to_string().contains("tie_word_embeddings"), "{error}");
    // An encoder has no head for hidden tokens.
    assert!(BertMaskedLm::load(tiny()).is_err());
}

#[test]
fn a_run_with_hidden_tokens_is_the_same_each_time_and_in_bf16_nearly() {
    let run = |precision| {
        let mut model = BertMaskedLm::builder(tiny())
            .precision(precision)
            .build()
            .expect("a model");
        let train = model.blocks(&TEXTS).expect("blocks");
        let config = TrainConfig {
            epochs: 3.0,
            learning_rate: 1e-3,
            ..TrainConfig::default()
        };
        let report = model.fit(&train, &train, &config).expect("a run");
        (report.train_loss, model.backbone().named_variables())
    };
    let (first, weights) = run(bertfit::Precision::default());
    let (second, again) = run(bertfit::Precision::default());
    assert_eq!(first, second);
    for (name, weight) in &weights {
        assert_close(name, weight, &again[name], 0.0);
    }
    if bertfit::cpu_has_bf16() {
        let (third, _) = run(bertfit::Precision::Bf16);
        assert!((first - third).abs() < 0.05 * first, "{first} {third}");
    }
}

/// The places of what is hidden are those of the batch, however long it is made.
#[test]
fn rows_of_a_fixed_length_hide_the_same_tokens() {
    let model = of_transformers();
    let blocks = TokenBlocks::by_text(&reference(), model.backbone().tokenizer(), 32);
    let blocks = blocks.expect("blocks");
    let blocks: Vec<_> = (0..blocks.len())
        .map(|row| blocks.get(row).expect("a block"))
        .collect();
    let batch = |padding: Padding| {
        let encoder = model.encoder().expect("an encoder").padding(padding);
        let collator = MaskCollator::new(encoder, Masking::default()).expect("a collator");
        collator.collate(&blocks).expect("a batch")
    };
    let words = |padding: Padding| {
        let batch = batch(padding);
        let ids = batch.inputs.input_ids().reshape([-1]);
        ids.index_select(0, batch.inputs.places().expect("places"))
    };
    let longest = batch(Padding::Longest).inputs.size().1;
    assert!(longest < 64);
    assert_eq!(words(Padding::Fixed(64)), words(Padding::Longest));
}

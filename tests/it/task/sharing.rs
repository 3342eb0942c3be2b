//! Fitted models between threads.

use std::sync::{Arc, Mutex};
use std::thread;

use bertfit::{
    BertClassifier, BertEmbedder, BertGenerator, BertMaskedLm, BertMultiLabelClassifier,
    BertMultipleChoice, BertQuestionAnswerer, BertRegressor, BertTokenClassifier, Example,
    IndexedTable, Tokenizer,
};

use crate::fixture::{eight, tiny};

/// Compiles only if all of them can be moved to another thread.
const _: () = {
    const fn can_be_sent<T: Send + 'static>() {}
    can_be_sent::<BertClassifier>();
    can_be_sent::<BertEmbedder>();
    can_be_sent::<BertGenerator>();
    can_be_sent::<BertMaskedLm>();
    can_be_sent::<BertMultiLabelClassifier>();
    can_be_sent::<BertMultipleChoice>();
    can_be_sent::<BertQuestionAnswerer>();
    can_be_sent::<BertRegressor>();
    can_be_sent::<BertTokenClassifier>();
    can_be_sent::<Arc<Mutex<BertClassifier>>>();

    const fn can_be_shared<T: Send + Sync + 'static>() {}
    can_be_shared::<Arc<Mutex<BertClassifier>>>();
    can_be_shared::<Tokenizer>();
    can_be_shared::<IndexedTable>();
};

#[test]
fn threads_share_a_model_behind_a_lock() {
    let model = BertClassifier::builder(tiny())
        .labels(["bad", "good"])
        .build();
    let model = model.expect("a model");
    let rows = eight();
    let expected = model.predict(&rows).expect("predictions");
    let model = Arc::new(Mutex::new(model));
    let predict = |rows: Vec<Example>| {
        let model = Arc::clone(&model);
        thread::spawn(move || model.lock().expect("no thread has panicked").predict(&rows))
    };
    let threads: Vec<_> = (0..3).map(|_| predict(rows.clone())).collect();
    for thread in threads {
        let predictions = thread.join().expect("a thread").expect("predictions");
        assert_eq!(predictions.labels(), expected.labels());
        assert_eq!(predictions.probabilities, expected.probabilities);
    }
}

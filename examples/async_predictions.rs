//! Predicts from async code, under any runtime: the model lives on a thread of its own, and
//! a request is a future that waits for it without holding up the thread that polls it.
//! Requests that come while the model is busy share the next batch.
//!
//!     cargo run --example async_predictions
//!
//! Expected: `3 answers, each as predicted alone`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bertfit::BertClassifier;

/// A label with its probability, or why there is none.
type Answer = Result<(String, f32), String>;

/// Where an answer is laid down, and who waits for it.
type Slot = Arc<Mutex<(Option<Answer>, Option<Waker>)>>;

fn look_into(slot: &Slot) -> MutexGuard<'_, (Option<Answer>, Option<Waker>)> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text on its way to the model.
struct Request {
    text: String,
    slot: Slot,
}

impl Request {
    fn answer(&self, answer: Answer) {
        let mut slot = look_into(&self.slot);
        slot.0.get_or_insert(answer);
        slot.1.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for Request {
    /// Nobody waits for ever, whatever becomes of the model's thread.
    fn drop(&mut self) {
        self.answer(Err("the model's thread is gone".to_owned()));
    }
}

/// What an async function awaits.
struct Waiting(Slot);

impl Future for Waiting {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut slot = look_into(&self.0);
        match slot.0.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A model on a thread of its own, which ends when the last clone of this is dropped.
#[derive(Clone)]
struct Service(Sender<Request>);

impl Service {
    fn start(model: BertClassifier) -> Self {
        let (sender, receiver) = channel::<Request>();
        thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                let requests: Vec<Request> =
                    [first].into_iter().chain(receiver.try_iter()).collect();
                let texts: Vec<&str> = requests.iter().map(|request| &*request.text).collect();
                match model.predict(&texts) {
                    Ok(predictions) => {
                        for (request, (label, score)) in requests.iter().zip(predictions.iter()) {
                            request.answer(Ok((label.to_owned(), score)));
                        }
                    }
                    Err(error) => requests.iter().for_each(|request| {
                        request.answer(Err(error.chain()));
                    }),
                }
            }
        });
        Self(sender)
    }

    /// The text is on its way at once; the future is for its answer.
    fn predict(&self, text: &str) -> Waiting {
        let slot = Slot::default();
        let (text, waiting) = (text.to_owned(), Waiting(Arc::clone(&slot)));
        // A request that cannot be sent is dropped, which answers it.
        let _ = self.0.send(Request { text, slot });
        waiting
    }
}

/// What a runtime does, for this example.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn main() -> bertfit::Result<()> {
    // Any fitted model will do; this one is random, so that the example runs anywhere.
    let dir = std::env::temp_dir().join(format!("bertfit-async-{}", std::process::id()));
    bertfit::write_tiny_model(&dir)?;
    let model = BertClassifier::builder(&dir)
        .labels(["negative", "positive"])
        .build()?;
    let texts = ["a great film", "the food was bad", "it was fine"];
    let alone = model.predict(&texts)?;

    let service = Service::start(model);
    let answers = block_on(async {
        let waiting = texts.map(|text| service.predict(text));
        let mut answers = Vec::new();
        for one in waiting {
            answers.push(one.await);
        }
        answers
    });
    for (answer, (label, score)) in answers.iter().zip(alone.iter()) {
        let (found, probability) = answer.as_ref().expect("the model answers");
        assert_eq!(found, label);
        assert!((probability - score).abs() < 1e-5);
    }
    println!("{} answers, each as predicted alone", answers.len());
    let _ = std::fs::remove_dir_all(&dir);
    Ok(())
}

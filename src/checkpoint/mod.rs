//! Folders on the disk that can be trusted: written whole or not at all
//! (`new_folder`), with the sums of their files (`manifest`), and kept in a series as
//! a run goes on (`series`, `every`), by one program at a time (`folder_lock`). `tree` lists what is in
//! them.

mod every;
mod folder_lock;
mod manifest;
mod new_folder;
mod series;
mod tree;

pub use every::CheckpointEvery;
pub(crate) use folder_lock::{FolderLock, Writes};
pub(crate) use manifest::hex;
pub use manifest::verify;
pub(crate) use new_folder::NewFolder;
pub use series::Checkpoints;
use tree::files_below;

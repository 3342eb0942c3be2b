//! The disk is full, or may only be read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::victim::{Victim, names, said, unfinished};
use super::{Figure, figure};
use crate::Result;
use crate::environment::run as run_command;

/// Rests of the disk that are tried, from nothing up to a whole checkpoint.
const RESTS: u64 = 8;

/// A file system in memory; gone when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Result<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "bertfit-faults"]);
        let output = mount.arg(folder).output();
        let output = output.map_err(|error| format!("mount: {error}"))?;
        match output.status.success() {
            true => Ok(Self(folder.to_owned())),
            false => Err(said(&output)),
        }
    }

    fn set(&self, option: &str) -> Result<()> {
        let option = format!("remount,{option}");
        let mut mount = Command::new("mount");
        let quiet = mount
            .args(["-o", &option])
            .arg(&self.0)
            .stderr(Stdio::null());
        run_command(quiet)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A failure leaves a mount that the next run covers.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

pub fn run(victim: &Victim) -> Result<Vec<Figure>> {
    let out = victim.new_folder("disk")?;
    let folder = out.parent().unwrap_or(&out).to_owned();
    let disk = match Disk::mount(&folder) {
        Ok(disk) => disk,
        Err(why) => {
            let why = format!("not run: a file system in memory cannot be mounted ({why})");
            return Ok(vec![figure("disk full, or only to be read", 0, why)]);
        }
    };
    let figures = vec![full(victim, &disk)?, read_only(victim, &disk)?];
    Ok(figures)
}

fn full(victim: &Victim, disk: &Disk) -> Result<Figure> {
    let start = victim.checkpoints()?[0];
    let mut files = std::collections::BTreeSet::new();
    for rest in 0..RESTS {
        let out = disk.0.join("run");
        crate::fetch::remove(&out)?;
        victim.copy_up_to(start, &out)?;
        let checkpoint = size(&out.join(format!("checkpoint-{start}")))?;
        let used = size(&out)?;
        // In pages, of which each file system in memory has some for itself.
        disk.set(&format!("size={}", used + checkpoint * rest / RESTS))?;
        let output = victim.output(&out)?;
        let text = said(&output);
        let no_space = text.contains("No space left on device");
        if output.status.code() != Some(1) || !text.starts_with("error: ") || !no_space {
            return Err(format!("with {rest}/{RESTS} of a checkpoint free: {text}"));
        }
        let name = text
            .split(".tmp/")
            .nth(1)
            .and_then(|rest| rest.split(':').next());
        files.extend(name.map(str::to_owned));
        if !unfinished(&out)?.is_empty() {
            return Err(format!("left: {:?}", unfinished(&out)?));
        }
        disk.set("size=64m")?;
        victim.ends_as_whole(&out)?;
    }
    let files = files.into_iter().collect::<Vec<_>>().join(", ");
    Ok(figure(
        "disk full in the writing of a checkpoint, with 0/8 to 7/8 of its size free",
        RESTS as usize,
        format!(
            "an error that names the file ({files}), status 1; the checkpoint before stands, \
             and with space again goes on to the whole run's SHA-256"
        ),
    ))
}

/// Bytes of all files in a folder, in whole pages, and a page for each name.
fn size(folder: &Path) -> Result<u64> {
    const PAGE: u64 = 4096;
    let mut bytes = 0;
    for name in names(folder)? {
        let path = folder.join(name);
        let data = path.metadata().map_err(|error| error.to_string())?;
        bytes += match data.is_dir() {
            true => size(&path)?,
            false => data.len().div_ceil(PAGE) * PAGE,
        };
    }
    Ok(bytes)
}

fn read_only(victim: &Victim, disk: &Disk) -> Result<Figure> {
    let start = victim.checkpoints()?[0];
    let out = disk.0.join("run");
    let is_refused = |code: Option<i32>, text: &str| match code {
        Some(1) if text.contains("Read-only file system") => Ok(()),
        _ => Err(format!("on a disk that can only be read: {text}")),
    };
    // From the start, and in the middle.
    crate::fetch::remove(&out)?;
    victim.copy_up_to(start, &out)?;
    disk.set("ro")?;
    let output = victim.output(&out)?;
    is_refused(output.status.code(), &said(&output))?;
    disk.set("rw")?;
    victim.ends_as_whole(&out)?;

    crate::fetch::remove(&out)?;
    victim.copy_up_to(start, &out)?;
    let mut command = victim.command(&out);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = quiet.spawn().map_err(|error| error.to_string())?;
    while names(&out)?.len() < 3 {
        sleep(Duration::from_micros(200));
    }
    // Refused while a file is open to be written.
    while disk.set("ro").is_err() {
        let ended = child.try_wait().map_err(|error| error.to_string())?;
        if let Some(status) = ended {
            return Err(format!(
                "it ended before the disk could be locked: {status}"
            ));
        }
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    is_refused(output.status.code(), &said(&output))?;
    disk.set("rw")?;
    victim.ends_as_whole(&out)?;
    Ok(figure(
        "disk that may only be read, from the start and from the middle of a run",
        2,
        "an error that names the file, status 1; writable again, it goes on to the whole run's \
         SHA-256",
    ))
}

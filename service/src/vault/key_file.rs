//! The key file: the KEKs, and the key of blind indexes. It never leaves the machine by our hand.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crypto_core::{BadKeyFile, IndexKey, KeyId, Keys};
use zeroize::Zeroizing;

use crate::random;

/// How long the file is not looked at again. Another key that it names is fetched at once.
const LIFETIME: Duration = Duration::from_secs(60);
/// The largest file that is read: thousands of keys.
const BYTES_MAX: u64 = 1 << 20;

/// A key file, and its keys as they were when it was last read.
pub struct KeyFile {
    /// None: the keys are in memory only.
    path: Option<PathBuf>,
    read: Mutex<(Instant, Arc<Keys>)>,
}

/// Why a key file cannot be used. It never says what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there.
    #[error("there is no key file {}: `standing keys init` makes one", .0.display())]
    Missing(PathBuf),
    /// Others than its owner may read or change it.
    #[error("the key file {} is open to others: chmod 600 it", .0.display())]
    Open(PathBuf),
    /// An earlier version made it.
    #[error(
        "the key file {} has no key for tokens and feeds yet: `standing keys init` adds it, and \
         changes nothing else", .0.display()
    )]
    Incomplete(PathBuf),
    /// Another installation's file was put in its place while it was in use.
    #[error("the key file {} was exchanged for another one's: put the right one back", .0.display())]
    Exchanged(PathBuf),
    /// Another command is changing it, or one broke off.
    #[error(
        "{} is in the way: another command is changing the keys, or one broke off. If none runs, \
         remove it (it holds keys): {} is whole without it",
        beside.display(), path.display()
    )]
    LeftOver {
        /// The key file.
        path: PathBuf,
        /// The file beside it that a change is written to first.
        beside: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the key file {} cannot be used", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not hold what it should.
    #[error("{} is not a key file: {source}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: BadKeyFile,
    },
    /// There is no id left for another key.
    #[error("the ids of keys have run out")]
    Full,
    /// A change of its text did not make a key of it. Nothing was written.
    #[error("key {id} would not be in the key file")]
    Lost {
        /// The key.
        id: KeyId,
    },
}

/// What `init` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// No file: it is made.
    Made,
    /// A file that lacked keys: they are added.
    Completed,
    /// A file with all keys: nothing is changed.
    Whole,
}

/// What became of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// It has a new key that wraps nothing yet.
    Made(KeyId),
    /// A key that it had before is the active one now.
    Activated(KeyId),
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`KeyFileError`], also if others than its owner may read it.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let keys = parse(path, &read(path)?)?;
        Ok(Self {
            path: Some(path.to_owned()),
            read: Mutex::new((Instant::now(), Arc::new(keys))),
        })
    }

    /// New keys, in memory only.
    pub(super) fn temporary() -> Result<Self, KeyFileError> {
        let keys = parse(Path::new("in memory"), &new_text())?;
        Ok(Self {
            path: None,
            read: Mutex::new((Instant::now(), Arc::new(keys))),
        })
    }

    /// Makes a file with all keys, for its owner alone. A file that an earlier version made gets the
    /// keys that it lacks. No key is ever overwritten.
    ///
    /// # Errors
    /// [`KeyFileError`] if it cannot be written, or the file that is there is no key file.
    pub fn init(path: &Path) -> Result<Ensured, KeyFileError> {
        match create(path).and_then(|file| write(file, &new_text())) {
            Ok(()) => return Ok(Ensured::Made),
            Err(source) if source.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(unusable(path, source)),
        }
        if parse(path, &read(path)?).is_ok() {
            return Ok(Ensured::Whole);
        }
        replace(path, |text| {
            let text = match Keys::parse(text) {
                Err(BadKeyFile::NoMac) => with_line(text, &["mac", &random::key_digits()]),
                _ => Zeroizing::new(text.to_owned()),
            };
            parse(path, &text)?;
            Ok((text, Ensured::Completed))
        })
    }

    /// The keys, read anew once a minute.
    ///
    /// # Errors
    /// [`KeyFileError`], if the file has become unusable.
    pub fn keys(&self) -> Result<Arc<Keys>, KeyFileError> {
        let (since, keys) = self.last_read();
        if self.path.is_none() || since.elapsed() < LIFETIME {
            return Ok(keys);
        }
        self.read_again()
    }

    /// The keys, read anew at once if this one is not among them: somebody has rotated.
    pub(super) fn keys_with(&self, id: KeyId) -> Result<Arc<Keys>, KeyFileError> {
        let keys = self.keys()?;
        if keys.keks.get(id).is_some() || self.path.is_none() {
            return Ok(keys);
        }
        self.read_again()
    }

    fn last_read(&self) -> (Instant, Arc<Keys>) {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn read_again(&self) -> Result<Arc<Keys>, KeyFileError> {
        let (_, keys) = self.last_read();
        let Some(path) = &self.path else {
            return Ok(keys);
        };
        let before = keys.mac.fingerprint();
        let keys = Arc::new(parse(path, &read(path)?)?);
        if keys.mac.fingerprint() != before {
            return Err(KeyFileError::Exchanged(path.clone()));
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = (Instant::now(), keys.clone());
        Ok(keys)
    }

    /// Adds a key that wraps nothing yet, so that the file can be carried to other machines first.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn stage(&self) -> Result<Staged, KeyFileError> {
        let id = self.rewrite(|text, keys| {
            let last = keys.keks.older_ids().chain([keys.keks.active().id()]).max();
            let next = last.and_then(|last| last.0.checked_add(1));
            let id = KeyId(next.ok_or(KeyFileError::Full)?);
            let name = id.to_string();
            Ok((
                with_line(text, &[&name, "older", &random::key_digits()]),
                id,
            ))
        })?;
        Ok(Staged::Made(id))
    }

    /// Adds another key of blind indexes. Everybody is found by each key that they are indexed under.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn add_index(&self) -> Result<KeyId, KeyFileError> {
        self.rewrite(|text, keys| {
            let last = keys.index.last().map(IndexKey::id);
            let next = last.and_then(|last| last.0.checked_add(1));
            let id = KeyId(next.ok_or(KeyFileError::Full)?);
            let name = id.to_string();
            let text = with_line(text, &["index", &name, &random::key_digits()]);
            let is_there = |keys: &Keys| keys.index.iter().any(|key| key.id() == id);
            with_key(self.shown(), text, id, is_there)
        })
    }

    /// Makes the newest key the active one. A new one is made if it is that already.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn activate_newest(&self) -> Result<Staged, KeyFileError> {
        let keks = &self.keys()?.keks;
        let newest = keks.older_ids().filter(|id| *id > keks.active().id()).max();
        let (id, staged) = match newest {
            Some(id) => (id, Staged::Activated(id)),
            None => match self.stage()? {
                staged @ (Staged::Made(id) | Staged::Activated(id)) => (id, staged),
            },
        };
        self.rewrite(|text, _| {
            let is_active = |keys: &Keys| keys.keks.active().id() == id;
            with_key(self.shown(), with_active(text, id), id, is_active)
        })?;
        Ok(staged)
    }

    /// Puts another text in the file's place, all of it or nothing.
    fn rewrite(
        &self,
        change: impl FnOnce(&str, &Keys) -> Result<(Zeroizing<String>, KeyId), KeyFileError>,
    ) -> Result<KeyId, KeyFileError> {
        let path = self.shown();
        let id = replace(path, |text| change(text, &parse(path, text)?))?;
        self.read_again()?;
        Ok(id)
    }

    /// Where the file is, to be named.
    pub(super) fn shown(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("in memory"))
    }
}

/// The text with a new key, if that has become a key of it.
fn with_key(
    path: &Path,
    text: Zeroizing<String>,
    id: KeyId,
    is_there: impl FnOnce(&Keys) -> bool,
) -> Result<(Zeroizing<String>, KeyId), KeyFileError> {
    match is_there(&parse(path, &text)?) {
        true => Ok((text, id)),
        false => Err(KeyFileError::Lost { id }),
    }
}

/// Puts what `change` makes of a file's text in its place, all of it or nothing. The file beside it
/// is made first, so that of two commands one waits for nobody and is refused.
fn replace<R>(
    path: &Path,
    change: impl FnOnce(&str) -> Result<(Zeroizing<String>, R), KeyFileError>,
) -> Result<R, KeyFileError> {
    let beside = path.with_extension("new");
    let file = create(&beside).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => KeyFileError::LeftOver {
            path: path.to_owned(),
            beside: beside.clone(),
        },
        _ => unusable(&beside, source),
    })?;
    let replaced = read(path)
        .and_then(|text| change(&text))
        .and_then(|(text, what)| {
            let written = write(file, &text)
                .and_then(|()| std::fs::rename(&beside, path))
                .and_then(|()| sync_folder(path));
            written.map_err(|source| unusable(&beside, source))?;
            Ok(what)
        });
    if replaced.is_err() {
        let _gone_already = std::fs::remove_file(&beside);
    }
    replaced
}

/// A text with one more line of these words, in one allocation.
fn with_line(text: &str, words: &[&str]) -> Zeroizing<String> {
    let more: usize = words.iter().map(|word| word.len() + 1).sum();
    let mut longer = Zeroizing::new(String::with_capacity(text.len() + 1 + more));
    longer.push_str(text);
    // The last line may have no end, and be a comment.
    if !text.is_empty() && !text.ends_with('\n') {
        longer.push('\n');
    }
    for (number, word) in words.iter().enumerate() {
        let between = if number == 0 { "" } else { " " };
        longer.extend([between, word]);
    }
    longer.push('\n');
    longer
}

/// A text in which this key is the active one.
fn with_active(text: &str, id: KeyId) -> Zeroizing<String> {
    // No state is longer than the other by more than a letter, and each line has one end.
    let mut rewritten = Zeroizing::new(String::with_capacity(text.len() * 2 + 2));
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            [name, "active" | "older", key] if !name.starts_with('#') => {
                let state = if name.parse() == Ok(id.0) {
                    "active"
                } else {
                    "older"
                };
                rewritten.extend([name, " ", state, " ", key, "\n"]);
            }
            _ => rewritten.extend([line, "\n"]),
        }
    }
    rewritten
}

fn unusable(path: &Path, source: std::io::Error) -> KeyFileError {
    KeyFileError::Unusable {
        path: path.to_owned(),
        source,
    }
}

fn parse(path: &Path, text: &str) -> Result<Keys, KeyFileError> {
    Keys::parse(text).map_err(|source| match source {
        BadKeyFile::NoMac => KeyFileError::Incomplete(path.to_owned()),
        _ => KeyFileError::Malformed {
            path: path.to_owned(),
            source,
        },
    })
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => unusable(path, source),
    })?;
    // Of what was opened, not of what may stand there by then.
    let about = file.metadata().map_err(|source| unusable(path, source))?;
    if is_open_to_others(&about) {
        return Err(KeyFileError::Open(path.to_owned()));
    }
    // As long as the text, so that no shorter copy is left behind.
    let length = usize::try_from(about.len().min(BYTES_MAX)).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(length + 1));
    let read = file.take(BYTES_MAX).read_to_string(&mut text);
    read.map_err(|source| unusable(path, source))?;
    Ok(text)
}

#[cfg(unix)]
fn is_open_to_others(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    about.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// A file that was not there before, which only its owner reads.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a text that is on the disk when this returns.
fn write(mut file: File, text: &str) -> std::io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn new_text() -> Zeroizing<String> {
    let about = "# The keys of a Standing service. Whoever has this file and the database reads everything;\n\
                 # whoever loses it reads nothing. Keep a copy apart from the database's backups.\n";
    let text = with_line(about, &["index", "1", &random::key_digits()]);
    let text = with_line(&text, &["mac", &random::key_digits()]);
    with_line(&text, &["1", "active", &random::key_digits()])
}

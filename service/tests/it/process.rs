//! The service as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use standing::database::Database;

/// A running service. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it is reached.
    pub(crate) url: String,
    /// Kept open, so that it can go on telling.
    _telling: BufReader<ChildStdout>,
}

/// How a service is run.
pub(crate) struct Run<'a> {
    pub(crate) database: &'a Database,
    pub(crate) clock: &'a str,
    pub(crate) mailbox: &'a Path,
}

impl Run<'_> {
    /// A command of the binary on this database, at this time, with this mailbox.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standing"));
        command.args([name, "--clock", self.clock, "--database"]);
        match self.database {
            Database::Sqlite(path) => command.arg(path),
            Database::Postgres(url) => command.arg(url),
        };
        command.arg("--mailbox").arg(self.mailbox);
        // The clinic's: see `Clinic::new`.
        command.env(
            "STANDING_KEYS",
            self.mailbox.with_file_name("standing.keys"),
        );
        command
    }

    /// Does what is due, once, and tells what it said.
    pub(crate) fn tick(&self) -> String {
        self.tick_with(&[]).0
    }

    /// The same with more arguments: what it said, and to standard error, if it failed.
    pub(crate) fn tick_with(&self, arguments: &[&str]) -> (String, Option<String>) {
        let mut command = self.command("tick");
        let output = command.args(QUIET).args(arguments).output().unwrap();
        let failed = !output.status.success();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let errors = failed.then(|| text(output.stderr));
        (text(output.stdout), errors)
    }

    /// A service that ticks every second.
    fn ticking(&self, name: &str) -> Command {
        let mut command = self.command(name);
        command
            .args(["--tick-seconds", "1", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped());
        command
    }

    /// Starts a service.
    pub(crate) fn spawn(&self) -> Child {
        self.spawn_with(&[])
    }

    /// Starts a service with more arguments.
    pub(crate) fn spawn_with(&self, arguments: &[&str]) -> Child {
        let mut command = self.ticking("serve");
        command.args(QUIET).args(arguments).spawn().unwrap()
    }

    /// Starts a service, and waits until it serves.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Process {
        let child = self.ticking(name).args(QUIET).args(arguments).spawn();
        Process::of(child.unwrap())
    }

    /// Starts a service that logs all it can into a file.
    pub(crate) fn start_logging(&self, log: &Path) -> Process {
        let child = self
            .ticking("serve")
            .args(["--log", "debug", "--log-format", "json"])
            .stderr(std::fs::File::create(log).unwrap())
            .spawn();
        Process::of(child.unwrap())
    }
}

const QUIET: [&str; 2] = ["--log", "off"];

impl Process {
    /// What says on its standard output where it serves.
    pub(crate) fn of(mut child: Child) -> Self {
        let mut telling = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        let url = loop {
            assert!(telling.read_line(&mut told).unwrap() > 0, "{told}");
            if let Some((_, url)) = told.split_once("http://") {
                let end = url.find(['/', '\n']).unwrap();
                break format!("http://{}", &url[..end]);
            }
        };
        Self {
            child,
            url,
            _telling: telling,
        }
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end, and tells whether that was a success.
    pub(crate) fn ends_well_within(&mut self, patience: Duration) -> bool {
        let began = std::time::Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let id = process.to_string();
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &id])
        .status();
    assert!(sent.unwrap().success());
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Numbers that look random, the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 to below `end` (Knuth's MMIX generator).
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let step = 6_364_136_223_846_793_005;
        self.0 = self
            .0
            .wrapping_mul(step)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

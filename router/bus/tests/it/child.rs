//! What runs in a process of its own, to be killed: this binary again, with one test picked.

use std::{process::Stdio, sync::Arc, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, Queue, RabbitBus, RabbitOptions};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::support::{batch, label, labels, numbered, take, within};

/// Where a child finds its bus: a path, or a URL.
const WHERE: &str = "PATCHBAY_TEST_CHILD_BUS";
/// What else it has to know.
const WHAT: &str = "PATCHBAY_TEST_CHILD_ARGUMENT";

/// A child and what it says, line by line.
pub(crate) struct Spawned {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Spawned {
    /// Starts this binary with the one ignored test `role`.
    pub(crate) fn start(role: &str, place: &str, argument: &str) -> Self {
        let command = Command::new(std::env::current_exe().unwrap());
        Self::run(command, role, place, argument)
    }

    /// The same, deaf to the signal that comes with a file beyond the size limit, so that writing
    /// fails instead, as on a full disk.
    pub(crate) fn start_with_small_disk(role: &str, place: &str, argument: &str) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap());
        Self::run(command, role, place, argument)
    }

    fn run(mut command: Command, role: &str, place: &str, argument: &str) -> Self {
        let mut process = command
            .args(["--exact", "--ignored", "--nocapture"])
            .arg(format!("child::{role}"))
            .env(WHERE, place)
            .env(WHAT, argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next line it says.
    pub(crate) async fn line(&mut self) -> String {
        let line = within("a line of the child", self.lines.next_line());
        line.await.unwrap().expect("the child ended early")
    }

    /// Waits for a line that begins so, and returns the rest of it.
    pub(crate) async fn said(&mut self, beginning: &str) -> String {
        loop {
            if let Some(rest) = self.line().await.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// Kills it without warning; returns what it had still said.
    pub(crate) async fn kill(mut self) -> Vec<String> {
        self.process.kill().await.unwrap();
        let mut rest = Vec::new();
        while let Ok(Some(line)) = self.lines.next_line().await {
            rest.push(line);
        }
        rest
    }
}

fn place() -> (String, String) {
    (std::env::var(WHERE).unwrap(), std::env::var(WHAT).unwrap())
}

/// Takes 20 deliveries of a RabbitMQ queue, acks 5, and keeps the rest until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of another test"]
async fn holds_deliveries() {
    let (url, namespace) = place();
    let options = RabbitOptions {
        namespace,
        partitions: 1,
        shards: 2,
        ..RabbitOptions::default()
    };
    let bus = RabbitBus::connect(&url, options).await.unwrap();
    let mut consumer = bus.consume(Queue::Inbound(0), 20).await.unwrap();
    println!("consuming");
    let mut taken = take(&mut *consumer, 20).await;
    let rest = taken.split_off(5);
    for delivery in taken {
        delivery.ack();
    }
    // What the acks free shows that they are through.
    let freed = take(&mut *consumer, 5).await;
    println!(
        "holding {} {}",
        labels(&rest).join(","),
        labels(&freed).join(",")
    );
    std::future::pending::<()>().await;
}

/// Publishes to and consumes from a journal until it is killed, and tells each confirm and each
/// delivery, the latter before the ack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of another test"]
async fn uses_a_journal() {
    let (path, round) = place();
    let bus = EmbeddedBus::open(path, EmbeddedOptions::default()).unwrap();
    let mut consumer = bus.consume(Queue::Inbound(0), 100).await.unwrap();
    for key in 0..4 {
        let bus: Arc<dyn Bus> = bus.clone();
        let key = format!("{round}-{key}/");
        tokio::spawn(async move {
            for first in (0..).step_by(3) {
                let own = numbered(&key, first..first + 3);
                bus.publish(batch(Queue::Inbound(0), &own)).await.unwrap();
                println!("confirmed {}", own.join(","));
            }
        });
    }
    loop {
        for delivery in consumer.recv(20).await.unwrap() {
            println!("received {}", label(&delivery.message));
            delivery.ack();
        }
        // Slower than the publishers, so that a backlog is left.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Publishes to a journal until the disk is full, tells so, then makes room and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of another test"]
async fn fills_the_disk() {
    let (path, _) = place();
    let bus = EmbeddedBus::open(path, EmbeddedOptions::default()).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 1024 * 1024, hard).unwrap();
    let mut n = 0;
    let refused = loop {
        let mut large = batch(Queue::Inbound(0), &numbered("m", n..n + 1));
        large[0].1.body = vec![b'x'; 50_000].into();
        match bus.publish(large).await {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
    };
    println!("confirmed {n}");
    println!("refused {refused}");
    println!("problem {}", bus.health().problem.unwrap_or_default());
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    while bus.health().problem.is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let more = batch(Queue::Inbound(0), &numbered("late", 0..1));
    bus.publish(more).await.unwrap();
    let mut consumer = bus.consume(Queue::Inbound(0), 1000).await.unwrap();
    println!("delivered {}", take(&mut *consumer, n + 1).await.len());
    bus.close().await;
}

//! Random histories of two tenants, from whose feeds a consumer has to rebuild their directories.
//!
//! Clients send requests to the shipped router while lanes of the table's stream are handled, the
//! finisher works off journals, and any of these processes may die at any call. Every batch of the stream
//! is handled at least twice, some of it long after the items that it is about are gone. At the end the
//! consumer's directory has to be the true one.
//!
//! `FEED_HISTORIES=1000 cargo test --test suite feed_histories::` plays more histories, and `FEED_SEED=7`
//! begins with another one.

mod announcements;
mod consumer;
mod node;
mod requests;
mod stream;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use scim_lambda::feed::Announcer;
use scim_lambda::feed::append::Appender;
use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream::{Handled, handle};
use scim_lambda::identity::TenantId;
use scim_lambda::store::{ItemChange, Meter, ResourceImage};
use tokio::time::sleep;

use crate::simulation::World;
use crate::support::cause;
use consumer::{Consumer, Directory};
use node::{Node, Secrets};
use requests::{Client, Known, POOL};
use stream::Stream;

/// The tenants, and the number of users that each begins with.
const TENANTS: [(&str, usize); 2] = [("acme", POOL), ("globex", 3)];
/// The largest number of requests of one history. Several requests that belong together count as one.
const MAX_STEPS: usize = 30;
/// The most members that are announced together: fewer than a filled set has.
const MEMBERS_PER_PART: usize = 15;

/// A directory to begin with, and how far its stream is handled.
struct Base {
    world: World,
    secrets: Secrets,
    stream: Stream,
    known: Vec<Known>,
}

/// A history while it is played.
struct History<'h> {
    world: World,
    secrets: &'h Secrets,
    stream: RefCell<Stream>,
    known: Vec<RefCell<Known>>,
    /// Requests that are still to be sent.
    steps: Cell<usize>,
    /// Clients that are at work.
    clients: Cell<usize>,
    /// Batches whose handling has begun, each with the number of its lane.
    handled: RefCell<Vec<(usize, Vec<Record>)>>,
    /// Which records were handled when. It is printed if the history fails.
    log: RefCell<Vec<String>>,
}

impl Drop for History<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log.borrow().join("\n"));
        }
    }
}

/// Figures of a history that has been played.
#[derive(Debug, Default)]
struct Summary {
    events: u64,
    memberships: usize,
    /// Processes that died.
    deaths: usize,
}

/// Prints the seed of a history that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "The history that failed: FEED_SEED={} FEED_HISTORIES=1",
                self.0
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replayed_feeds_are_the_directories() {
    let number = |name: &str, default: u64| {
        let value = std::env::var(name).ok();
        value.map_or(default, |text| text.parse().unwrap())
    };
    let (first, histories) = (
        number("FEED_SEED", fastrand::u64(..1 << 32)),
        number("FEED_HISTORIES", 100),
    );
    eprintln!("FEED_SEED={first} FEED_HISTORIES={histories}");
    let base = Base::new().await;
    let mut all = Summary::default();
    for seed in first..first + histories {
        let printed_on_failure = Seed(seed);
        fastrand::seed(seed);
        let summary = History::of(&base).play().await;
        drop(printed_on_failure);
        all.events += summary.events;
        all.memberships += summary.memberships;
        all.deaths += summary.deaths;
    }
    // Histories in which little happens would show nothing.
    assert!(all.events > 20 * histories, "{all:?}");
    assert!(all.memberships > 0 && all.deaths > 0, "{all:?}");
    eprintln!("{all:?}");
}

impl Base {
    async fn new() -> Self {
        let world = World::new().await;
        let names = TENANTS.map(|(name, _)| name);
        let secrets = Secrets::new(&world, &names).await;
        let node = secrets.node(&world);
        let mut known = Vec::new();
        for ((_, token), (_, users)) in secrets.tokens.iter().zip(TENANTS) {
            let mut of_tenant = Known::default();
            let client = Client { node: &node, token };
            client.fill(&mut of_tenant, users).await;
            known.push(of_tenant);
        }
        let mut stream = Stream::of(&world);
        stream.read(&world);
        let appender = appender(&world, &node);
        loop {
            let batch = stream.take(0, 100);
            if batch.is_empty() {
                break;
            }
            let handled = handle(&appender, &batch, None).await;
            assert_eq!(handled.failed_from, None);
        }
        Self {
            world,
            secrets,
            stream,
            known,
        }
    }
}

fn appender<'n>(world: &World, node: &'n Node) -> Appender<'n> {
    let provider = &node.service.provider;
    Appender::new(provider.store(), provider.tenants(), world.clock())
}

impl<'h> History<'h> {
    fn of(base: &'h Base) -> Self {
        Self {
            world: base.world.copy(),
            secrets: &base.secrets,
            stream: RefCell::new(base.stream.continued(fastrand::usize(1..=6))),
            known: base.known.iter().cloned().map(RefCell::new).collect(),
            steps: Cell::new(fastrand::usize(1..=MAX_STEPS)),
            clients: Cell::new(0),
            handled: RefCell::default(),
            log: RefCell::default(),
        }
    }

    async fn play(self) -> Summary {
        let deaths = Cell::new(0);
        let mut tasks: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
        for _ in 0..fastrand::usize(1..=3) {
            self.clients.set(self.clients.get() + 1);
            tasks.push(self.client(&deaths).boxed_local());
        }
        for lane in 0..self.stream.borrow().lanes() {
            tasks.push(self.lane(lane, &deaths).boxed_local());
        }
        for _ in 0..fastrand::usize(1..=2) {
            tasks.push(self.finisher(&deaths).boxed_local());
        }
        join_all(tasks).await;
        self.settle().await;
        self.check(deaths.get()).await;
        self.repeat().await;
        self.settle().await;
        self.check(deaths.get()).await
    }

    /// Sends the requests of one client, one after the other, on a process that is replaced when it dies.
    async fn client(&self, deaths: &Cell<usize>) {
        let mut node = self.secrets.node(&self.world);
        while self.steps.get() > 0 {
            self.steps.set(self.steps.get() - 1);
            pause(&[0, 5, 50, 2_000]).await;
            // The first tenant has most of the requests.
            let tenant = usize::from(fastrand::u8(..6) == 0);
            let (_, token) = &self.secrets.tokens[tenant];
            node.endanger(40);
            let client = Client { node: &node, token };
            client.random(&self.known[tenant]).await;
            self.replace_if_dead(&mut node, deaths);
        }
        self.clients.set(self.clients.get() - 1);
    }

    /// Replaces a process that has died, and counts its death.
    fn replace_if_dead(&self, node: &mut Node, deaths: &Cell<usize>) {
        if node.line.is_dead() {
            deaths.set(deaths.get() + 1);
            *node = self.secrets.node(&self.world);
        }
    }

    /// Handles the records of one lane, in order, until the clients are done and no records are left. One
    /// process after the other does it; each remembers the pages that it has read and put.
    async fn lane(&self, lane: usize, deaths: &Cell<usize>) {
        // Some lanes are so late that replaced sets are gone before their records are handled.
        let lag: &[u64] = match fastrand::u8(..3) {
            0 => &[100, 10_000, 60_000, 120_000],
            _ => &[0, 10, 100, 1_000],
        };
        let mut batch = Vec::new();
        loop {
            let node = self.secrets.node(&self.world);
            let is_done = self.serve(lane, lag, &node, &mut batch).await;
            deaths.set(deaths.get() + usize::from(node.line.is_dead()));
            if is_done {
                return;
            }
        }
    }

    /// Handles batches of a lane on one process, and some of them on a second process at the same time. Returns
    /// true when nothing is left to handle, and false when another process has to take over; then the records
    /// in `batch` come again.
    async fn serve(&self, lane: usize, lag: &[u64], node: &Node, batch: &mut Vec<Record>) -> bool {
        let appender = appender(&self.world, node);
        while fastrand::u8(..16) > 0 {
            if batch.is_empty() {
                pause(lag).await;
                let is_last = self.clients.get() == 0;
                let mut stream = self.stream.borrow_mut();
                stream.read(&self.world);
                batch.extend(stream.take(lane, fastrand::usize(1..=12)));
                if batch.is_empty() && is_last {
                    return true;
                }
                if batch.is_empty() {
                    continue;
                }
                self.handled.borrow_mut().push((lane, batch.clone()));
            }
            node.endanger(12);
            let handled = match fastrand::bool() {
                true => self.handle(node, &appender, batch).await,
                false => {
                    // Lambda has given the batch to another process too, as it does when it takes this one for dead.
                    let other = self.secrets.node(&self.world);
                    let twin = self::appender(&self.world, &other);
                    let both = tokio::join!(
                        self.handle(node, &appender, batch),
                        self.handle(&other, &twin, batch)
                    );
                    both.0
                }
            };
            if node.line.is_dead() {
                return false;
            }
            let is_left = |record: &Record| handled.failed_from.as_ref() == Some(&record.sequence);
            let left = batch.iter().position(is_left).unwrap_or(batch.len());
            batch.drain(..left);
        }
        false
    }

    /// Handles a batch.
    async fn handle(&self, node: &Node, appender: &Appender<'_>, batch: &[Record]) -> Handled {
        let handled = handle(appender, batch, None).await;
        self.note(batch, &handled, node);
        assert!(handled.set_aside.is_empty(), "{handled:?}");
        handled
    }

    /// Finishes journals and makes announcements until the clients are done.
    async fn finisher(&self, deaths: &Cell<usize>) {
        let mut node = self.secrets.node(&self.world);
        while self.clients.get() > 0 {
            pause(&[1_000, 10_000, 30_000]).await;
            let (tenant, _) = &self.secrets.tokens[usize::from(fastrand::u8(..4) == 0)];
            node.endanger(20);
            // What fails is left in the journal for the next round.
            let _ = node.service.provider.finish(tenant).await;
            let _ = self.announce(&node, tenant).await;
            self.replace_if_dead(&mut node, deaths);
        }
    }

    async fn announce(
        &self,
        node: &Node,
        tenant: &TenantId,
    ) -> scim_lambda::protocol::Result<usize> {
        let appender = appender(&self.world, node);
        let announcer = Announcer::new(&appender).with_members_per_part(MEMBERS_PER_PART);
        announcer.announce(tenant).await
    }

    /// Lets all leases run out, finishes what is left, and handles the last records.
    async fn settle(&self) {
        let node = self.secrets.node(&self.world);
        let appender = appender(&self.world, &node);
        for _ in 0..20 {
            sleep(Duration::from_secs(30)).await;
            let mut entries = 0;
            for (tenant, _) in &self.secrets.tokens {
                node.service.provider.finish(tenant).await.unwrap();
                self.announce(&node, tenant).await.unwrap();
                let store = node.service.provider.store();
                let wait = Duration::from_secs(10);
                let store = store.for_tenant(tenant, cause(), Meter::default(), wait);
                entries += store.journal().count().await.unwrap();
            }
            self.stream.borrow_mut().read(&self.world);
            if entries == 0 && self.stream.borrow().is_empty() {
                return;
            }
            let lanes = self.stream.borrow().lanes();
            for lane in in_some_order(lanes) {
                let batch = self.stream.borrow_mut().take(lane, usize::MAX);
                let handled = self.handle(&node, &appender, &batch).await;
                assert_eq!(handled.failed_from, None);
                self.handled.borrow_mut().push((lane, batch));
            }
        }
        panic!("the history does not come to rest");
    }

    /// Handles every batch of the history once more, long after it was handled first. This comes after the
    /// first check, because it could add an event that was missing then.
    async fn repeat(&self) {
        let node = self.secrets.node(&self.world);
        let appender = appender(&self.world, &node);
        let batches = self.handled.take();
        let lanes = self.stream.borrow().lanes();
        for lane in in_some_order(lanes) {
            for (_, batch) in batches.iter().filter(|(of, _)| *of == lane) {
                let handled = self.handle(&node, &appender, batch).await;
                assert_eq!(handled.failed_from, None);
            }
        }
    }

    fn note(&self, batch: &[Record], handled: &Handled, node: &Node) {
        let change = |record: &Record| {
            let change = match &record.change {
                ItemChange::Resource(change) => {
                    let of = |image: &Option<ResourceImage>| {
                        image
                            .as_ref()
                            .map(|image| (image.stored.version().to_string(), image.is_deleted))
                    };
                    format!(
                        "{} {:?} -> {:?}",
                        change.id,
                        of(&change.before),
                        of(&change.after)
                    )
                }
                ItemChange::Member(change) => {
                    let (was, is) = (change.was_there, change.is_there);
                    format!(
                        "{} {} {} {was} -> {is}",
                        change.group, change.set, change.member
                    )
                }
                _ => return String::new(),
            };
            format!("\n    {} {} {change}", record.sequence, record.id)
        };
        let changes: String = batch.iter().map(change).collect();
        let (time, is_dead) = (self.world.clock().now_millis(), node.line.is_dead());
        let failed = &handled.failed_from;
        let note = format!("{time} failed from {failed:?}, dead: {is_dead}{changes}");
        self.log.borrow_mut().push(note);
    }

    async fn check(&self, deaths: usize) -> Summary {
        let node = self.secrets.node(&self.world);
        let mut summary = Summary {
            deaths,
            ..Summary::default()
        };
        for (tenant, _) in &self.secrets.tokens {
            let consumer = follow(&node, tenant).await;
            summary.events += consumer.events();
            let directory = Directory::of(&self.world, tenant.as_str());
            summary.memberships += directory.memberships();
            directory.check(&consumer.directory());
        }
        summary
    }
}

/// The numbers of the lanes in a random order.
fn in_some_order(lanes: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lanes).collect();
    fastrand::shuffle(&mut order);
    order
}

/// Waits a random time up to one of these, in milliseconds.
async fn pause(choices: &[u64]) {
    let longest = choices[fastrand::usize(..choices.len())];
    sleep(Duration::from_millis(fastrand::u64(0..=longest))).await;
}

/// Follows a feed from its beginning to its end.
async fn follow(node: &Node, tenant: &TenantId) -> Consumer {
    let store = node.service.provider.store();
    let store = store.for_tenant(tenant, cause(), Meter::default(), Duration::from_secs(60));
    let (mut consumer, mut after) = (Consumer::default(), After::Beginning);
    loop {
        let limits = Limits {
            events: fastrand::usize(1..100),
            bytes: 1_000_000,
        };
        let part = read(tenant, &store, &after, limits, |_| true, None)
            .await
            .unwrap();
        for event in &part.events {
            consumer.apply(event);
        }
        if part.behind == 0 {
            return consumer;
        }
        after = part.next;
    }
}

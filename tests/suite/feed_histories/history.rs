//! One history: clients, lanes of the stream and finishers, all of which may die, and what is checked when
//! they are done.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use scim_lambda::feed::Announcer;
use scim_lambda::feed::append::Appender;
use scim_lambda::feed::brake;
use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream::{Handled, handle};
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::Switches;
use scim_lambda::protocol::schema::Registry;
use scim_lambda::store::{ItemChange, ResourceImage};
use tokio::time::sleep;

use super::consumer::{Consumer, Directory};
use super::node::{Node, Secrets};
use super::requests::{Client, Known};
use super::stream::Stream;
use super::{Base, MAX_STEPS, MEMBERS_PER_PART, appender, store};
use crate::simulation::World;

/// A history while it is played.
pub(super) struct History<'h> {
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
pub(super) struct Summary {
    pub(super) events: u64,
    pub(super) memberships: usize,
    /// Processes that died.
    pub(super) deaths: usize,
}

impl<'h> History<'h> {
    pub(super) fn of(base: &'h Base) -> Self {
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

    pub(super) async fn play(self) -> Summary {
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
                entries += store(&node, tenant).journal().count().await.unwrap();
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
            // The brake counts by the events only, because the feed has every change.
            let store = store(&node, tenant);
            let status = brake::status(&store, &Switches::default(), Registry::builtin()).await;
            assert_eq!(status.unwrap().active, directory.active_users());
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
pub(super) async fn follow(node: &Node, tenant: &TenantId) -> Consumer {
    let store = store(node, tenant);
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

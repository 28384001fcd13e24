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
use scim_lambda::protocol::profile::Brake;
use scim_lambda::protocol::schema::Registry;
use scim_lambda::store::{ItemChange, ResourceImage};
use tokio::time::sleep;

use super::bad_days::{Former, backup, make_again, restore};
use super::consumer::{Consumer, Directory};
use super::node::{Node, Secrets};
use super::operator::{Operator, check_hold};
use super::requests::{Client, Known};
use super::stream::Stream;
use super::{Base, MAX_STEPS, MEMBERS_PER_PART, appender, store};
use crate::simulation::World;

/// The number of records of a batch that is handled once more at the end.
const RECORDS_PER_REPEAT: usize = 100;

/// A history while it is played.
pub(super) struct History<'h> {
    pub(super) world: World,
    pub(super) secrets: &'h Secrets,
    pub(super) stream: RefCell<Stream>,
    pub(super) known: Vec<RefCell<Known>>,
    /// Requests that are still to be sent.
    steps: Cell<usize>,
    /// What an operator does meanwhile.
    operator: Operator,
    /// Lanes stop when the clients are done, and leave the records that are not handled.
    is_cut_short: Cell<bool>,
    /// The table and its stream are copied when this number of steps is left.
    backup_at: Option<usize>,
    backup: RefCell<Option<Box<Self>>>,
    /// Resources that the second tenant had before it was deleted, and the positions in its feed.
    pub(super) former: RefCell<Former>,
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
    /// Feeds of which readers did not get everything.
    pub(super) holds: usize,
    /// Resources of the registered type.
    pub(super) badges: usize,
    /// Tenants that were deleted and made again, and tables that were restored.
    pub(super) made_again: usize,
    pub(super) restored: usize,
}

impl<'h> History<'h> {
    /// A copy of the base, in which everything that this module's comment tells may happen.
    pub(super) fn of(base: &'h Base) -> Self {
        let steps = fastrand::usize(1..=fastrand::usize(10..=MAX_STEPS));
        let stream = base.stream.continued(fastrand::usize(1..=6));
        let is_restored = fastrand::u8(..6) == 0;
        let world = base.world.copy();
        let mut history = Self::with(world, &base.secrets, stream, &base.known, steps);
        history.operator = Operator::random();
        history.backup_at = is_restored.then(|| fastrand::usize(..steps));
        history
    }

    /// A history in which no operator does anything.
    pub(super) fn with(
        world: World,
        secrets: &'h Secrets,
        stream: Stream,
        known: &[Known],
        steps: usize,
    ) -> Self {
        Self {
            world,
            secrets,
            stream: RefCell::new(stream),
            known: known.iter().cloned().map(RefCell::new).collect(),
            steps: Cell::new(steps),
            operator: Operator::default(),
            is_cut_short: Cell::new(false),
            backup_at: None,
            backup: RefCell::default(),
            former: RefCell::default(),
            clients: Cell::new(0),
            handled: RefCell::default(),
            log: RefCell::default(),
        }
    }

    pub(super) async fn play(self) -> Summary {
        let deaths = Cell::new(0);
        if fastrand::u8(..4) == 0 {
            let later = self.steps.get() / 2;
            self.steps.set(self.steps.get() - later);
            self.is_cut_short.set(true);
            self.act(&deaths).await;
            make_again(&self).await;
            self.is_cut_short.set(false);
            self.steps.set(later);
        }
        self.act(&deaths).await;
        self.settle().await;
        self.check(deaths.get()).await;
        self.repeat().await;
        self.settle().await;
        let summary = self.check(deaths.get()).await;
        let backup = self.backup.take();
        if let Some(backup) = &backup {
            restore(&self, backup).await;
        }
        Summary {
            restored: usize::from(backup.is_some()),
            made_again: usize::from(!self.former.borrow().is_empty()),
            badges: self
                .known
                .iter()
                .map(|known| known.borrow().badges.len())
                .sum(),
            ..summary
        }
    }

    /// Plays the steps that are left.
    pub(super) async fn act(&self, deaths: &Cell<usize>) {
        let mut tasks: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
        for _ in 0..fastrand::usize(1..=3) {
            self.clients.set(self.clients.get() + 1);
            tasks.push(self.client(deaths).boxed_local());
        }
        for lane in 0..self.stream.borrow().lanes() {
            tasks.push(self.lane(lane, deaths).boxed_local());
        }
        for _ in 0..fastrand::usize(1..=2) {
            tasks.push(self.finisher(deaths).boxed_local());
        }
        join_all(tasks).await;
    }

    /// Sends the requests of one client, one after the other, on a process that is replaced when it dies.
    async fn client(&self, deaths: &Cell<usize>) {
        let mut node = self.secrets.node(&self.world);
        while self.steps.get() > 0 {
            self.steps.set(self.steps.get() - 1);
            if self.backup_at == Some(self.steps.get()) && self.backup.borrow().is_none() {
                *self.backup.borrow_mut() = Some(Box::new(backup(self)));
            }
            pause(&[0, 5, 50, 2_000]).await;
            // The first tenant has most of the requests.
            let tenant = usize::from(fastrand::u8(..6) == 0);
            let (name, token) = &self.secrets.tokens[tenant];
            node.endanger(40);
            let client = Client { node: &node, token };
            let known = &self.known[tenant];
            if !self.operator.act(&client, name, known).await {
                client.random(known).await;
            }
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
        // Another process, to which Lambda gives batches too, as it does when it takes this one for dead.
        let other = self.secrets.node(&self.world);
        let twin = self::appender(&self.world, &other);
        loop {
            if self.is_cut_short.get() && self.clients.get() == 0 {
                let left = std::mem::take(batch);
                self.stream.borrow_mut().give_back(lane, left);
                return true;
            }
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
            let handled = match fastrand::u8(..3) {
                1.. => self.handle(node, &appender, batch).await,
                0 => {
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
            if fastrand::u8(..8) == 0 {
                return false;
            }
        }
    }

    /// Handles a batch.
    pub(super) async fn handle(
        &self,
        node: &Node,
        appender: &Appender<'_>,
        batch: &[Record],
    ) -> Handled {
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
    pub(super) async fn settle(&self) {
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

    /// Handles every record of the history once more, long after it was handled first, and in other batches.
    /// This comes after the first check, because it could add an event that was missing then.
    async fn repeat(&self) {
        let node = self.secrets.node(&self.world);
        let appender = appender(&self.world, &node);
        let batches = self.handled.take();
        let lanes = self.stream.borrow().lanes();
        for lane in in_some_order(lanes) {
            let of_lane = batches.iter().filter(|(of, _)| *of == lane);
            let records: Vec<Record> = of_lane.flat_map(|(_, batch)| batch).cloned().collect();
            for batch in records.chunks(RECORDS_PER_REPEAT) {
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
            if *tenant == self.secrets.tokens[1].0 {
                let former = self.former.borrow().clone();
                former.check(&node, tenant, &consumer).await;
            }
            let directory = Directory::of(&self.world, tenant.as_str());
            summary.memberships += directory.memberships();
            directory.check(&consumer.directory());
            // The brake counts by the events only, because the feed has every change.
            let store = store(&node, tenant);
            let switches = node.service.provider.rules(tenant).await.unwrap().switches;
            let status = brake::status(&store, &switches, Registry::builtin()).await;
            assert_eq!(status.unwrap().active, directory.active_users());
            if switches.brake == Brake::Hold {
                summary.holds += usize::from(check_hold(&node, tenant, &consumer).await);
            }
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
    follow_from(node, tenant, Consumer::default(), After::Beginning).await
}

/// Follows a feed from a position to its end, whatever the brake holds back.
pub(super) async fn follow_from(
    node: &Node,
    tenant: &TenantId,
    mut consumer: Consumer,
    mut after: After,
) -> Consumer {
    let store = store(node, tenant);
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
        consumer
            .positions
            .push((consumer.events(), part.next.clone()));
        if part.behind == 0 {
            return consumer;
        }
        after = part.next;
    }
}

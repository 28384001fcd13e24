//! Partition and sort keys: every key begins with its tenant, or says that it is the stack's.

use std::hash::Hasher;

use super::error::StoreError;
use super::stored::{self, Item, s};
use crate::identity::TenantId;
use crate::protocol::schema::ResourceType;

/// Separates the parts of a sort key. It sorts before every character of an index text.
pub(super) use crate::protocol::key::SEPARATOR;

/// The number of items over which the counter of one type is spread, so that creations of one type
/// do not conflict in one item.
pub(super) const COUNTERS: u64 = 64;

/// The number of partitions over which a tenant's memberships are spread, by their member.
const MEMBERSHIP_PARTITIONS: u64 = 4;

/// A partition of one tenant or of the stack. Only [`Keys`], [`StackKeys`] and items that were read
/// make one, so no key of a tenant lacks the tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition(String);

impl Partition {
    /// The partition key.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of an item in it.
    pub(super) fn key(&self, sort: impl Into<String>) -> ItemKey {
        ItemKey {
            partition: self.clone(),
            sort: sort.into(),
        }
    }
}

/// The key of one item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ItemKey {
    partition: Partition,
    sort: String,
}

impl ItemKey {
    /// The key of an item that was read.
    pub(super) fn of(item: &mut Item) -> Result<Self, StoreError> {
        let partition = Partition(stored::take_text(item, "pk")?);
        Ok(partition.key(stored::take_text(item, "sk")?))
    }

    /// The two attributes of the key: a request names the item by them, and the item itself begins
    /// with them.
    pub(super) fn to_item(&self) -> Item {
        Item::from([
            ("pk".to_owned(), s(self.partition.as_str())),
            ("sk".to_owned(), s(&self.sort)),
        ])
    }
}

/// The keys of one tenant.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(tenant: &TenantId) -> Self {
        Self {
            prefix: format!("T#{}", tenant.as_str()),
        }
    }

    /// The tenant's own configuration.
    pub(super) fn tenant(&self) -> Partition {
        Partition(self.prefix.clone())
    }

    /// The resources of one type. The number at the end leaves room for more partitions of a tenant.
    pub(super) fn resources(&self, resource_type: &ResourceType) -> Partition {
        self.resources_named(&resource_type.name)
    }

    /// The same by the name of a type that the tenant may not have any more.
    pub(super) fn resources_named(&self, type_name: &str) -> Partition {
        Partition(format!("{}#R#{type_name}#0", self.prefix))
    }

    /// The entries of one index, and the claims of a unique one.
    pub(super) fn index(&self, resource_type: &ResourceType, path: &str) -> Partition {
        self.index_named(&resource_type.name, path)
    }

    /// The same by the name of a type that the tenant may not have any more.
    pub(super) fn index_named(&self, type_name: &str, path: &str) -> Partition {
        Partition(format!("{}#I#{type_name}#{path}", self.prefix))
    }

    /// One of the partitions of the members of one set of a group.
    pub(super) fn members(&self, group: &str, set: &str, number: u64) -> Partition {
        Partition(format!("{}#M#{group}#{set}#{number}", self.prefix))
    }

    /// The partition of a resource's memberships, which also has those of other resources.
    pub(super) fn memberships(&self, member: &str) -> Partition {
        self.membership_partition(stable_hash(member) % MEMBERSHIP_PARTITIONS)
    }

    /// Every partition of memberships.
    pub(super) fn all_memberships(&self) -> Vec<Partition> {
        let numbers = 0..MEMBERSHIP_PARTITIONS;
        numbers
            .map(|number| self.membership_partition(number))
            .collect()
    }

    fn membership_partition(&self, number: u64) -> Partition {
        Partition(format!("{}#B#{number}", self.prefix))
    }

    /// The flag and the edges of groups inside groups.
    pub(super) fn nesting(&self) -> Partition {
        Partition(format!("{}#N", self.prefix))
    }

    /// The journal.
    pub(super) fn journal(&self) -> Partition {
        Partition(format!("{}#J", self.prefix))
    }

    /// The page marks.
    pub(super) fn page_marks(&self) -> Partition {
        Partition(format!("{}#P", self.prefix))
    }

    /// The indexes that the tenant has ever had.
    pub(super) fn used_indexes(&self) -> Partition {
        Partition(format!("{}#K", self.prefix))
    }

    /// The used signatures.
    pub(super) fn signatures(&self) -> Partition {
        Partition(format!("{}#S", self.prefix))
    }

    /// The seats.
    pub(super) fn seats(&self) -> Partition {
        Partition(format!("{}#A", self.prefix))
    }

    /// The budgets of requests, by period.
    pub(super) fn request_periods(&self) -> Partition {
        Partition(format!("{}#L", self.prefix))
    }

    /// What has happened without a change of a resource.
    pub(super) fn occasions(&self) -> Partition {
        Partition(format!("{}#O", self.prefix))
    }

    /// The pages of the feed, and its head.
    pub(super) fn feed(&self) -> Partition {
        Partition(format!("{}#E", self.prefix))
    }

    /// The deliveries of the tenant's events.
    pub(super) fn deliveries(&self) -> Partition {
        Partition(format!("{}#D", self.prefix))
    }

    /// What has happened in the tenant: requests, and refusals.
    pub(super) fn status(&self) -> Partition {
        Partition(format!("{}#U", self.prefix))
    }

    /// The counters of one type.
    pub(super) fn counters(&self, resource_type: &ResourceType) -> Partition {
        self.counters_named(&resource_type.name)
    }

    /// The same by the name of a type that the tenant may not have any more.
    pub(super) fn counters_named(&self, type_name: &str) -> Partition {
        Partition(format!("{}#C#{type_name}", self.prefix))
    }
}

/// The keys of items that belong to the stack and to no tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct StackKeys;

#[expect(
    clippy::unused_self,
    reason = "only a table of the stack, which has this value, has these keys"
)]
impl StackKeys {
    /// The names of the tenants.
    pub(super) fn tenants(self) -> Partition {
        Partition("S#T".to_owned())
    }

    /// The heartbeat, and the progress of the stream's reader and of the sweep.
    pub(super) fn progress(self) -> Partition {
        Partition("S#H".to_owned())
    }

    /// The subscriptions to events.
    pub(super) fn subscriptions(self) -> Partition {
        Partition("S#B".to_owned())
    }

    /// The list of what is due.
    pub(super) fn due(self) -> Partition {
        Partition("S#D".to_owned())
    }

    /// The deleted tenants, in the order of the times at which something of them is to be removed.
    pub(super) fn purges(self) -> Partition {
        Partition("S#X".to_owned())
    }

    /// The positions of readers of the stream that Lambda does not call.
    pub(super) fn positions(self) -> Partition {
        Partition("S#L".to_owned())
    }
}

/// The tenant whose journal has this partition key; `None` if the partition is not a journal.
#[cfg(feature = "worker")]
pub(super) fn tenant_of_journal(partition: &str) -> Option<TenantId> {
    let tenant = partition.strip_prefix("T#")?.strip_suffix("#J")?;
    TenantId::parse(tenant).ok()
}

/// What the items of a partition are to the reader of the table's stream.
#[cfg(feature = "worker")]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamKey<'k> {
    /// Resources of one type.
    Resource {
        tenant: TenantId,
        type_name: &'k str,
    },
    /// Members of one set of a group.
    Member {
        tenant: TenantId,
        group: &'k str,
        set: &'k str,
    },
    /// A tenant's own configuration.
    Configuration(TenantId),
    /// What has happened without a change of a resource.
    Occasion { tenant: TenantId },
    /// The progress of the stream's reader and of the sweep.
    Progress,
    /// Anything else.
    Other,
}

/// What the items of the partition with this key are.
#[cfg(feature = "worker")]
pub(super) fn stream_key(partition: &str) -> StreamKey<'_> {
    if partition == StackKeys.progress().as_str() {
        return StreamKey::Progress;
    }
    let read = || {
        let rest = partition.strip_prefix("T#")?;
        let Some((tenant, rest)) = rest.split_once('#') else {
            return Some(StreamKey::Configuration(TenantId::parse(rest).ok()?));
        };
        let tenant = TenantId::parse(tenant).ok()?;
        if rest == "O" {
            return Some(StreamKey::Occasion { tenant });
        }
        let (kind, rest) = rest.split_once('#')?;
        match kind {
            "R" => {
                let (type_name, _number) = rest.rsplit_once('#')?;
                Some(StreamKey::Resource { tenant, type_name })
            }
            "M" => {
                let (rest, _number) = rest.rsplit_once('#')?;
                let (group, set) = rest.rsplit_once('#')?;
                Some(StreamKey::Member { tenant, group, set })
            }
            _ => None,
        }
    };
    read().unwrap_or(StreamKey::Other)
}

/// The sort key of the counter item in which this resource is counted.
pub(super) fn counter(id: &str) -> String {
    format!("{:02}", stable_hash(id) % COUNTERS)
}

/// The sort key of the flag that there are groups inside groups.
pub(super) const NESTED: &str = "nested";

/// The sort key of a claim. It is the same for every resource, so a second resource with the value
/// meets it. It ends with the separator, so that it does not equal the end of a range.
pub(super) fn claim(key: &str) -> String {
    format!("{key}{SEPARATOR}")
}

/// The sort key of an index entry.
pub(super) fn entry(key: &str, id: &str) -> String {
    format!("{key}{SEPARATOR}{id}")
}

/// The sort key of a membership.
pub(super) fn membership(member: &str, group: &str, set: &str) -> String {
    format!("{member}{SEPARATOR}{group}{SEPARATOR}{set}")
}

/// A hash that is the same in every process and version: FNV-1a, 64 bits.
pub(super) fn stable_hash(text: &str) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(text.as_bytes());
    hasher.finish()
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(stable_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stable_hash("a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn no_key_of_the_stack_is_one_of_a_tenant() {
        for partition in [
            StackKeys.tenants(),
            StackKeys.progress(),
            StackKeys.positions(),
            StackKeys.subscriptions(),
            StackKeys.due(),
            StackKeys.purges(),
        ] {
            assert!(partition.0.starts_with("S#"), "{partition:?}");
        }
    }

    #[cfg(feature = "worker")]
    #[test]
    fn the_reader_of_the_stream_finds_out_whose_item_it_is() {
        let acme = TenantId::parse("acme").unwrap();
        let keys = Keys::new(&acme);
        let members = keys.members("g-1", "f.x-1", 3);
        let member = StreamKey::Member {
            tenant: acme.clone(),
            group: "g-1",
            set: "f.x-1",
        };
        assert_eq!(stream_key(members.as_str()), member);
        let resource = |type_name| StreamKey::Resource {
            tenant: acme.clone(),
            type_name,
        };
        assert_eq!(stream_key("T#acme#R#User#0"), resource("User"));
        assert_eq!(stream_key("T#acme#R#A#B#0"), resource("A#B"));
        let configuration = StreamKey::Configuration(acme.clone());
        assert_eq!(stream_key(keys.tenant().as_str()), configuration);
        let occasion = StreamKey::Occasion {
            tenant: acme.clone(),
        };
        assert_eq!(stream_key(keys.occasions().as_str()), occasion);
        let others = [
            keys.feed(),
            keys.journal(),
            keys.deliveries(),
            keys.memberships("u"),
        ];
        let others = others.iter().map(Partition::as_str);
        for other in others.chain([
            "S#T",
            "T#",
            "T##R#User#0",
            "T#acme#R#User",
            "T#acme#M#g#0",
            "",
        ]) {
            assert_eq!(stream_key(other), StreamKey::Other, "{other}");
        }
    }

    #[test]
    fn no_tenant_is_a_prefix_of_another() {
        let keys = |name: &str| Keys::new(&TenantId::parse(name).unwrap()).tenant().0;
        assert_eq!(keys("acme"), "T#acme");
        assert!(!format!("{}#", keys("acme-2")).starts_with(&format!("{}#", keys("acme"))));
    }
}

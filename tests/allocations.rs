//! A key that is known is verified without taking memory. A program of its own: it counts what its allocator is asked for.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use portcullis::admission::{Admission, Settings};
use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::fleet::Fleet;
use portcullis::hashing::Hashing;
use portcullis::key::keyspace::SYSTEM;
use portcullis::key::permission::Reach;
use portcullis::key::scope::Demand;
use portcullis::manage::{Bootstrap, Management};
use portcullis::store::{Hints, Schema, connect};
use portcullis::usage::Usage;
use portcullis::verify::verdict::Verdict;
use portcullis::verify::{Ledger, Memory, Question, Verifier};

fn asked<'a>(key: &'a str, demand: Demand<'a>) -> Question<'a> {
    Question { keyspace: SYSTEM, demand, ..Question::about(key) }
}

/// Checks that `work` takes no memory.
#[track_caller]
fn takes_nothing(what: &str, work: impl FnOnce()) {
    let AllocationInfo { count_total, bytes_total, .. } = measure(work);
    assert_eq!((count_total, bytes_total), (0, 0), "{what}");
}

#[tokio::test]
async fn what_is_known_is_verified_without_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
    let store = connect(&url, Schema::Migrate, &Hints::None).await.expect("a store");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(SystemClock.now()));
    let hashing = Arc::new(Hashing::default());
    let memory = Arc::new(Memory::new(1 << 20));
    let lease = Duration::from_secs(1);
    let usage = Arc::new(Usage::default());
    let fleet = Fleet::join(store.clone(), memory.clone(), clock.clone(), lease, "one".into()).await.expect("a place");
    let admission = Arc::new(Admission::new(Settings::default(), &clock));
    let barrier = fleet.barrier().clone();
    let management = Management::new(store.clone(), hashing.clone(), clock.clone(), barrier, usage.clone(), admission);
    let management = management.await.expect("a new store");
    let Bootstrap::Made(secret) = management.bootstrap(None).await.expect("a root key") else { panic!("a new store") };
    let key = secret.expose();
    let write_claims = |_| Box::default();
    let ledger = Arc::new(Ledger::new(store.clone(), clock.clone(), usage, fleet.is_shared()));
    let verifier = Verifier::new(store.clone(), memory, fleet.lease().clone(), hashing, clock, ledger, write_claims);

    // It is read, and its use is noted, once.
    let reach = Reach::Everywhere;
    let first = verifier.verify(&asked(key, Demand::default()), &reach).await;
    assert!(matches!(first, Ok(Verdict::Valid(..))), "{first:?}");
    assert!(measure(|| drop(Vec::<u8>::with_capacity(1))).count_total > 0, "it counts");

    let admin = ["admin"];
    let demand = Demand { all_of: &admin, any_of: &admin };
    takes_nothing("a right key", || {
        let verdict = verifier.verify_known(&asked(key, demand), &reach);
        assert!(matches!(verdict, Some(Verdict::Valid(..))));
    });
    takes_nothing("a caller", || {
        let verdict = verifier.verify_known_root(key);
        assert!(matches!(verdict, Some(Verdict::Valid(..))));
    });
    let wrong = wrong_secret(key);
    takes_nothing("a wrong secret", || {
        let verdict = verifier.verify_known(&asked(&wrong, demand), &reach);
        assert!(matches!(verdict, Some(Verdict::NotFound)));
    });
    let long = "x".repeat(100_000);
    for malformed in ["", "no key", &key[1..], &long] {
        takes_nothing("what is malformed", || {
            let verdict =
                verifier.verify_known(&Question { keyspace: "", ..asked(malformed, demand) }, &Reach::AllButSystem);
            assert!(matches!(verdict, Some(Verdict::Malformed)));
        });
    }
    takes_nothing("a key out of reach", || {
        let verdict = verifier.verify_known(&Question { keyspace: "", ..asked(key, demand) }, &Reach::AllButSystem);
        assert!(matches!(verdict, Some(Verdict::NotFound)));
    });
    store.close().await;
}

/// Another well-formed key string of the same lookup.
fn wrong_secret(right: &str) -> String {
    let signed = format!("{}{}", &right[..right.len() - 38], "0".repeat(32));
    let mut rest = crc32fast::hash(signed.as_bytes());
    let mut check = [b'0'; 6];
    for place in check.iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize];
        rest /= 62;
    }
    signed + std::str::from_utf8(&check).expect("ASCII")
}

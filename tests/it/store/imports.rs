//! Imports: what finds an imported secret, what is refused, and that a batch is answered entry by entry.

use std::time::Duration;

use portcullis::key::imported::{BUCKET_LEN_MAX, DigestAlgorithm, Form, PREFIX_LENGTHS_MAX, slots};
use portcullis::key::phc::Phc;
use portcullis::key::record::{ApiKey, SecretInfo};
use portcullis::key::token::PublicPrefix;
use portcullis::key::verifier::{Verifier, sha256, sha384, sha512};
use portcullis::store::{Found, Holder, NewImport, Outcome, Refusal};
use sqlx::{Connection as _, PgConnection};

use super::rig::{Rig, at, by, done, new_key, new_secret, refused};
use crate::support::service::eventually;

const PHC: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$ndekWQKIWGRCRo2lVYOgg2Mec+Ntr+wcUEg2xuzjFSM";

/// An import into `default`, found by `form`.
fn import(verifier: Verifier, lookups: Vec<PublicPrefix>, form: Form) -> NewImport {
    let mut key = new_key(|_| ()).key;
    key.secrets.clear();
    let event_id = by(at(0)).event_id;
    NewImport { key, verifier, lookups, form: Some(form), others: None, request_id: None, event_id }
}

/// An import of the digest of `text`.
fn digest(text: &str) -> NewImport {
    let lookup = DigestAlgorithm::Sha256.lookup(sha256(text).as_bytes());
    import(Verifier::Sha256(sha256(text)), vec![lookup], Form::Digest(DigestAlgorithm::Sha256))
}

/// An import of a salted hash, told apart from `others` only.
fn salted(prefix: &str, hash: &str, others: &[&NewImport]) -> NewImport {
    let others = others.iter().map(|other| other.verifier.clone()).collect();
    let verifier = Verifier::Argon2id(hash.to_owned());
    NewImport { others: Some(others), ..import(verifier, slots(prefix), Form::Prefix(prefix.len())) }
}

async fn import_all(rig: &Rig, batch: &[NewImport]) -> Outcome<Vec<Result<ApiKey, Refusal>>> {
    rig.store.import_keys("default", None, batch, &by(at(0))).await
}

async fn import_one(rig: &Rig, new: &NewImport) -> Result<ApiKey, Refusal> {
    done(import_all(rig, std::slice::from_ref(new)).await).pop().expect("an answer")
}

/// The key of `new` once it stands under this lookup.
fn under(new: &NewImport, lookup: &PublicPrefix) -> ApiKey {
    let info = SecretInfo { public_prefix: lookup.clone(), create_time: at(0), expire_time: None };
    ApiKey { secrets: vec![info], ..new.key.clone() }
}

async fn forms(rig: &Rig) -> Vec<(String, Form)> {
    rig.store.import_forms().await.expect("an answer")
}

pub async fn every_material_comes_back_as_given(mut rig: Rig) {
    let long = "a secret of somebody else's making";
    let of = |algorithm: DigestAlgorithm, verifier: Verifier, bytes: &[u8]| {
        import(verifier, vec![algorithm.lookup(bytes)], Form::Digest(algorithm))
    };
    let (three, five) = (sha384(long), sha512(long));
    let mut batch = vec![
        digest(long),
        of(DigestAlgorithm::Sha384, Verifier::Sha384(three), three.as_bytes()),
        of(DigestAlgorithm::Sha512, Verifier::Sha512(five), five.as_bytes()),
        salted("sk_live_", PHC, &[]),
    ];
    for text in [
        PHC,
        "$2b$04$abcdefghijklmnopqrstuu64TwFT2Xgun2bRSAut/qn5jW8BUA4cq",
        "$scrypt$ln=4,r=8,p=1$c29tZXNhbHRzb21lc2FsdA$GiN22NZhhVzcFwqTLAhNq80gour0dPhRXOTCA5V109g",
    ] {
        let prefix = format!("pk_{}_", text.len());
        let verifier = Verifier::Phc(Phc::parse(text).expect("one that is known"));
        batch.push(import(verifier, slots(&format!("{prefix}12345678")), Form::Prefix(prefix.len() + 8)));
    }
    let issued = new_secret();
    let as_issued = import(issued.verifier, vec![issued.public_prefix], Form::Prefix(8));
    batch.push(NewImport { form: None, ..as_issued });

    let made = done(import_all(&rig, &batch).await);
    rig.reopen().await;
    for (new, made) in batch.iter().zip(made) {
        let expect = under(new, &new.lookups[0]);
        assert_eq!(made, Ok(expect.clone()));
        assert_eq!(rig.get(&new.key.id).await, expect);
        let found = rig.find(&new.lookups[0]).await;
        assert_eq!(found, Some(rig.found_as(new.verifier.clone(), expect.clone()).await));
        let events = rig.events_of(&new.key.id).await;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].id.as_str(), events[0].action.as_str()), (new.event_id.as_str(), "ImportApiKeys"));
        assert_eq!(events[0].changes, expect.audited(at(1)));
    }
    let expect = [
        Form::Digest(DigestAlgorithm::Sha256),
        Form::Digest(DigestAlgorithm::Sha384),
        Form::Digest(DigestAlgorithm::Sha512),
        Form::Prefix(8),
        Form::Prefix(14),
    ];
    let mut found = forms(&rig).await;
    found.sort();
    assert_eq!(found, expect.map(|form| ("default".to_owned(), form)));
}

pub async fn a_store_without_imports_has_no_forms(rig: Rig) {
    rig.create(|_| ()).await;
    assert_eq!(forms(&rig).await, []);
}

pub async fn a_secret_is_imported_once(rig: Rig) {
    let first = digest("one");
    import_one(&rig, &first).await.expect("new");
    let events = rig.events(|_| ()).await;
    // Again, and twice in one batch.
    let other = digest("two");
    let answers = done(import_all(&rig, &[digest("one"), other.clone(), digest("two")]).await);
    assert_eq!(answers[0], Err(Refusal::SecretExists(first.key.id.clone())));
    assert!(answers[1].is_ok());
    assert_eq!(answers[2], Err(Refusal::SecretExists(other.key.id.clone())));
    assert_eq!(rig.events(|_| ()).await.len(), events.len() + 1);
    assert_eq!(rig.page(|_| ()).await.total, 2);

    // The same for salted ones, as far as they are the same to the letter.
    let salted_one = salted("sk_live_", PHC, &[]);
    import_one(&rig, &salted_one).await.expect("new");
    let again = import_one(&rig, &salted("sk_live_", PHC, &[])).await;
    assert_eq!(again, Err(Refusal::SecretExists(salted_one.key.id.clone())));
}

/// The same import, into another keyspace.
fn elsewhere(keyspace: &str, mut new: NewImport) -> NewImport {
    new.key.keyspace = keyspace.into();
    new
}

pub async fn a_keyspace_imports_as_if_it_were_alone(rig: Rig) {
    for id in ["acme", "beta"] {
        rig.create_keyspace(|keyspace| keyspace.id = id.into()).await;
    }
    // All that another keyspace has, and as full as it can be.
    let mut made: Vec<NewImport> = vec![digest("one")];
    import_one(&rig, &made[0]).await.expect("new");
    for n in 0..BUCKET_LEN_MAX {
        let new = salted("sk_live_", &format!("hash {n}"), &made.iter().collect::<Vec<_>>());
        import_one(&rig, &new).await.expect("new");
        made.push(new);
    }
    for id in ["acme", "beta"] {
        let batch = [elsewhere(id, digest("one")), elsewhere(id, salted("sk_live_", "hash 0", &[]))];
        let answers = done(rig.store.import_keys(id, None, &batch, &by(at(1))).await);
        assert_eq!(answers[1], Ok(under(&batch[1], &slots("sk_live_")[0])), "{id}");
        assert!(answers[0].is_ok());
        let again = [elsewhere(id, digest("one"))];
        let answers = done(rig.store.import_keys(id, None, &again, &by(at(1))).await);
        assert_eq!(answers, [Err(Refusal::SecretExists(batch[0].key.id.clone()))], "its own is named");
        assert_eq!(rig.store.holders(id, &slots("sk_live_")).await.expect("an answer").len(), 1);
    }
    // Each lookup finds those of all, the oldest first, and what is done to one leaves the others.
    let lookup = &made[0].lookups[0];
    let found = async || rig.store.find_secret(lookup.as_str()).await.expect("an answer");
    let keyspaces = |found: &[Found]| found.iter().map(|found| found.key.keyspace.clone()).collect::<Vec<_>>();
    assert_eq!(keyspaces(&found().await), ["default", "acme", "beta"]);
    let second = found().await[1].key.id.clone();
    done(rig.store.rotate_key(&second, &new_secret(), Duration::from_mins(1), &by(at(2))).await);
    let expiries: Vec<_> = found().await.iter().map(|found| found.secret_expire_time).collect();
    assert_eq!(expiries, [None, Some(at(62)), None]);
    done(rig.store.rotate_key(&second, &new_secret(), Duration::ZERO, &by(at(3))).await);
    assert_eq!(keyspaces(&found().await), ["default", "beta"]);
    done(rig.store.delete_key(&made[0].key.id, &by(at(4))).await);
    assert_eq!(keyspaces(&found().await), ["beta"]);
}

pub async fn a_lookup_is_of_so_many_keyspaces_and_no_more(rig: Rig) {
    for n in 0..65 {
        let id = format!("k{n}");
        rig.create_keyspace(|keyspace| keyspace.id.clone_from(&id)).await;
        let batch = [elsewhere(&id, digest("one"))];
        let answer = done(rig.store.import_keys(&id, None, &batch, &by(at(1))).await).swap_remove(0);
        if n < 64 {
            answer.expect("a place");
        } else {
            assert_eq!(answer, Err(Refusal::LookupFull));
        }
    }
}

pub async fn a_bucket_takes_four_that_are_told_apart(rig: Rig) {
    let mut made: Vec<NewImport> = Vec::new();
    for n in 0..BUCKET_LEN_MAX {
        let blind = salted("sk_live_", &format!("hash {n}"), &[]);
        if n > 0 {
            assert_eq!(import_one(&rig, &blind).await, Err(Refusal::LookupChanged), "{n}");
        }
        let seeing = salted("sk_live_", &format!("hash {n}"), &made.iter().collect::<Vec<_>>());
        let expect = under(&seeing, &slots("sk_live_")[n]);
        assert_eq!(import_one(&rig, &seeing).await, Ok(expect));
        made.push(seeing);
    }
    let all: Vec<&NewImport> = made.iter().collect();
    assert_eq!(import_one(&rig, &salted("sk_live_", "one more", &all)).await, Err(Refusal::LookupFull));
    import_one(&rig, &salted("sk_live_1", "one more", &[])).await.expect("a bucket of its own");
    let holders = rig.store.holders("default", &slots("sk_live_")).await.expect("an answer");
    assert_eq!(holders.len(), BUCKET_LEN_MAX);
    let first = Holder {
        public_prefix: slots("sk_live_")[0].clone(),
        verifier: made[0].verifier.clone(),
        key_id: made[0].key.id.clone(),
    };
    assert!(holders.contains(&first));

    // A place that became free is taken.
    done(rig.store.delete_key(&made[1].key.id, &by(at(1))).await);
    let next = salted("sk_live_", "one more", &all);
    assert_eq!(import_one(&rig, &next).await, Ok(under(&next, &slots("sk_live_")[1])));
}

pub async fn a_keyspace_has_eight_lengths_of_prefixes(rig: Rig) {
    for length in 8..8 + PREFIX_LENGTHS_MAX {
        import_one(&rig, &salted(&"x".repeat(length), "hash", &[])).await.expect("a length it may have");
    }
    assert_eq!(import_one(&rig, &salted(&"x".repeat(20), "hash", &[])).await, Err(Refusal::FormsFull));
    import_one(&rig, &salted(&"y".repeat(15), "hash", &[])).await.expect("a length it has");
    import_one(&rig, &digest("one")).await.expect("a digest has none");
    assert_eq!(forms(&rig).await.len(), PREFIX_LENGTHS_MAX + 1);
    // Another keyspace has its own.
    rig.create_keyspace(|_| ()).await;
    let mut elsewhere = salted(&"z".repeat(20), "hash", &[]);
    elsewhere.key.keyspace = "acme".into();
    done(rig.store.import_keys("acme", None, &[elsewhere.clone()], &by(at(0))).await)[0].clone().expect("its first");
    // Forms outlive their keys, and go with their keyspace.
    done(rig.store.delete_key(&elsewhere.key.id, &by(at(1))).await);
    assert!(forms(&rig).await.contains(&("acme".to_owned(), Form::Prefix(20))));
    done(rig.store.delete_keyspace("acme", &by(at(2))).await);
    assert!(forms(&rig).await.iter().all(|(keyspace, _)| keyspace == "default"));
}

pub async fn an_import_needs_a_keyspace(rig: Rig) {
    let mut new = digest("one");
    new.key.keyspace = "acme".into();
    let refusal = refused(rig.store.import_keys("acme", None, &[new.clone()], &by(at(0))).await);
    assert_eq!(refusal, Refusal::KeyspaceNotFound);
    assert_eq!(rig.events_of(&new.key.id).await, []);
}

pub async fn an_import_keeps_to_request_ids(rig: Rig) {
    let new = |request_id: &str, text: &str| NewImport { request_id: Some(request_id.into()), ..digest(text) };
    let (one, two) = (new("r-1", "one"), new("r-1", "two"));
    let answers = done(import_all(&rig, &[one.clone(), two.clone(), new("r-2", "three")]).await);
    assert_eq!(answers[1], Err(Refusal::RequestIdUsed(one.key.id)));
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(rig.store.key(&two.key.id).await.expect("an answer"), None);
    // What was refused left its id free.
    assert!(matches!(import_one(&rig, &new("r-4", "one")).await, Err(Refusal::SecretExists(_))));
    import_one(&rig, &new("r-4", "four")).await.expect("a free id");
}

pub async fn an_imported_secret_lives_on_through_an_overlap(rig: Rig) {
    let new = digest("one");
    import_one(&rig, &new).await.expect("new");
    let newest = new_secret();
    done(rig.store.rotate_key(&new.key.id, &newest, Duration::from_mins(1), &by(at(1))).await);
    let old = rig.find(&new.lookups[0]).await.expect("the old one");
    assert_eq!(old.secret_expire_time, Some(at(61)));
    assert!(rig.find(&newest.public_prefix).await.is_some());
    done(rig.store.rotate_key(&new.key.id, &new_secret(), Duration::ZERO, &by(at(2))).await);
    assert_eq!(rig.find(&new.lookups[0]).await, None);
    import_one(&rig, &digest("one")).await.expect("free again");
}

pub async fn imports_from_all_sides_make_each_key_once(rig: Rig) {
    let callers = rig.callers(6).await;
    let mut running = tokio::task::JoinSet::new();
    for (n, store) in callers.into_iter().enumerate() {
        running.spawn(async move {
            // The same digests, in another order each; and blind attempts on one bucket.
            let mut batch: Vec<_> = (0..20).map(|i| digest(&format!("secret {}", (i * (2 * n + 1)) % 20))).collect();
            batch.push(salted("sk_live_", &format!("hash {n}"), &[]));
            done(store.import_keys("default", None, &batch, &by(at(0))).await)
        });
    }
    let answers: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 21, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == Err(Refusal::LookupChanged)).count(), 5);
    assert_eq!(rig.page(|_| ()).await.total, 21);
}

pub async fn a_batch_of_a_thousand_is_made(rig: Rig) {
    let batch: Vec<_> = (0..1_000).map(|n| digest(&format!("secret {n}"))).collect();
    let made = done(import_all(&rig, &batch).await);
    assert!(made.iter().all(Result::is_ok));
    let again: Vec<_> = (0..1_000).map(|n| digest(&format!("secret {n}"))).collect();
    let answers = done(import_all(&rig, &again).await);
    for (answer, first) in answers.into_iter().zip(batch) {
        assert_eq!(answer, Err(Refusal::SecretExists(first.key.id)));
    }
}

pub async fn imports_of_one_keyspace_leave_a_place_to_another(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    import_one(&rig, &digest("first")).await.expect("its lock is there from now on");
    let mut locker = PgConnection::connect(&rig.fixture.url).await.expect("a connection");
    sqlx::raw_sql("BEGIN; SELECT FROM import_lock FOR UPDATE").execute(&mut locker).await.expect("a lock");
    // Twice as many as there are places. Only one of them could go on at a time.
    let mut waiting = tokio::task::JoinSet::new();
    for nth in 0..4 {
        let store = rig.store.clone();
        waiting.spawn(async move {
            done(store.import_keys("default", None, &[digest(&format!("{nth}"))], &by(at(0))).await)
        });
    }
    eventually("one that waits for the lock", async || {
        sqlx::raw_sql("SELECT pg_stat_clear_snapshot()").execute(&mut locker).await.expect("an answer");
        let query = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut locker).await.expect("an answer");
        (count > 0).then_some(())
    })
    .await;
    let mut other = digest("other");
    other.key.keyspace = "acme".into();
    let (batch, by) = ([other], by(at(0)));
    tokio::select! {
        biased;
        ended = waiting.join_next() => panic!("they wait for the lock: {ended:?}"),
        made = rig.store.import_keys("acme", None, &batch, &by) => assert!(done(made).iter().all(Result::is_ok)),
    }
    locker.close().await.expect("a quiet end");
    for made in waiting.join_all().await {
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
}

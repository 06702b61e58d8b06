//! A request that is sent twice makes one key.

use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::id::KeyId;
use portcullis::key::record::ApiKey;
use portcullis::store::{NewKey, Outcome, REQUEST_ID_KEPT, Refusal};

use super::rig::{Rig, at, by, done, new_key, refused};

fn request(request_id: &str, edit: impl FnOnce(&mut ApiKey)) -> NewKey {
    NewKey { request_id: Some(request_id.into()), ..new_key(edit) }
}

async fn create(rig: &Rig, new: &NewKey, at: Timestamp) -> Outcome<()> {
    rig.store.create_key(new, &by(at)).await
}

/// A new key asked for with this request id at that time is refused: the id made `key`.
async fn check_used(rig: &Rig, request_id: &str, at: Timestamp, key: &KeyId) {
    let again = request(request_id, |_| ());
    assert_eq!(refused(create(rig, &again, at).await), Refusal::RequestIdUsed(key.clone()));
    assert_eq!(rig.store.key(&again.key.id).await.expect("an answer"), None);
    assert_eq!(rig.find(&again.secret.public_prefix).await, None);
    assert_eq!(rig.events_of(&again.key.id).await, []);
}

pub async fn a_request_id_makes_one_key(rig: Rig) {
    let first = request("r-1", |_| ());
    done(create(&rig, &first, at(0)).await);
    let other = request("r-2", |_| ());
    done(create(&rig, &other, at(0)).await);
    done(create(&rig, &request("R-1", |_| ()), at(0)).await);
    done(create(&rig, &new_key(|_| ()), at(0)).await);
    done(create(&rig, &new_key(|_| ()), at(0)).await);
    let almost_a_day = at(0).saturating_add(REQUEST_ID_KEPT).saturating_sub(Duration::from_micros(1));
    for time in [at(0), at(1), almost_a_day] {
        check_used(&rig, "r-1", time, &first.key.id).await;
        check_used(&rig, "r-2", time, &other.key.id).await;
    }
    // The clock of another replica may be a little behind.
    check_used(&rig, "r-1", at(-1), &first.key.id).await;
}

pub async fn a_request_id_is_free_after_a_day(rig: Rig) {
    let first = request("r-1", |_| ());
    done(create(&rig, &first, at(0)).await);
    let later = at(0).saturating_add(REQUEST_ID_KEPT).saturating_add(Duration::from_micros(1));
    let second = request("r-1", |_| ());
    done(create(&rig, &second, later).await);
    check_used(&rig, "r-1", later, &second.key.id).await;
    assert_eq!(rig.get(&first.key.id).await, first.key);
}

pub async fn a_request_id_is_of_one_keyspace(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    let here = request("r-1", |_| ());
    let there = request("r-1", |key| key.keyspace = "acme".into());
    done(create(&rig, &here, at(0)).await);
    done(create(&rig, &there, at(0)).await);
    let again = request("r-1", |key| key.keyspace = "acme".into());
    assert_eq!(refused(create(&rig, &again, at(1)).await), Refusal::RequestIdUsed(there.key.id));
    check_used(&rig, "r-1", at(1), &here.key.id).await;
}

pub async fn a_refused_request_leaves_its_id_free(rig: Rig) {
    let new = request("r-1", |key| key.keyspace = "acme".into());
    assert_eq!(refused(create(&rig, &new, at(0)).await), Refusal::KeyspaceNotFound);
    rig.create_keyspace(|_| ()).await;
    done(create(&rig, &new, at(1)).await);
    assert_eq!(rig.get(&new.key.id).await, new.key);
}

pub async fn a_request_id_outlives_its_key(rig: Rig) {
    let first = request("r-1", |_| ());
    done(create(&rig, &first, at(0)).await);
    done(rig.store.delete_key(&first.key.id, &by(at(1))).await);
    check_used(&rig, "r-1", at(2), &first.key.id).await;
}

pub async fn a_request_id_outlives_a_restart(mut rig: Rig) {
    let first = request("r-1", |_| ());
    done(create(&rig, &first, at(0)).await);
    rig.reopen().await;
    check_used(&rig, "r-1", at(2), &first.key.id).await;
}

pub async fn of_many_requests_with_one_id_one_is_served(rig: Rig) {
    let callers = rig.callers(8).await;
    for round in 0..5 {
        let mut requests = tokio::task::JoinSet::new();
        for store in callers.clone() {
            requests.spawn(async move {
                let new = request(&format!("r-{round}"), |_| ());
                let outcome = store.create_key(&new, &by(at(0))).await.expect("an answer");
                (new.key.id, outcome)
            });
        }
        let (served, refused): (Vec<_>, Vec<_>) =
            requests.join_all().await.into_iter().partition(|(_, outcome)| outcome.is_ok());
        let [(id, _)] = &served[..] else { panic!("{} were served", served.len()) };
        assert!(refused.iter().all(|(_, outcome)| *outcome == Err(Refusal::RequestIdUsed(id.clone()))));
    }
    assert_eq!(rig.page(|_| ()).await.total, 5);
}

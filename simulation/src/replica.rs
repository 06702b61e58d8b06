//! What runs in a process: the service's own code, over the simulated store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::admission::{self, Admission};
use portcullis::clock::Clock;
use portcullis::fleet::Fleet;
use portcullis::hashing::Hashing;
use portcullis::key::keyspace::DEFAULT;
use portcullis::key::permission::Reach;
use portcullis::key::record::Json;
use portcullis::key::scope::Demand;
use portcullis::manage::{
    AllowanceFields, CreateKey, Error, Expiration, Grounds, KeyFields, Management, Principal, UpdateKey,
};
use portcullis::seeded::{stoppable, stoppable_by};
use portcullis::store::{Store, StoreError};
use portcullis::usage::Usage;
use portcullis::verify::verdict::Verdict;
use portcullis::verify::{Ledger, Memory, Question, Verifier, VerifyError};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::clock::SimulatedClock;
use crate::history::{Asked, LOST_SCOPE, Way};
use crate::store::SimulatedStore;
use crate::world::{LEASE, World};

/// All that is remembered fits.
const MEMORY_SIZE: usize = 1 << 24;
const BY: Principal<'_> = Principal { name: "simulation", peer: "" };
/// Most verifications of a process that may read the store at a time: as many as one caller has places. If one had to
/// wait for its turn, chance would decide which.
const FILLS_MAX: usize = 6;
/// How long a process that leaves is still asked.
const LINGERS: u64 = 20;

/// What answers in a process.
pub struct Replica {
    verifier: Verifier,
    management: Management,
    /// How many verifications are under way that may read the store.
    busy: AtomicUsize,
}

/// What a process is asked for.
pub enum Command {
    /// Verify this, reading what is not known.
    Verify {
        /// The number of the secret.
        secret: usize,
        /// Whether it must have the scope that narrowed keys lose.
        scoped: bool,
    },
    /// Take this from this key.
    Lose {
        /// The number of the key.
        key: usize,
        /// What is taken.
        way: Way,
    },
    /// Make a key.
    Create,
    /// End in order.
    Leave,
}

/// What the host of a process runs.
pub async fn software(world: Arc<World>, process: usize) -> turmoil::Result {
    let now = world.now();
    let here = &world.processes[process];
    here.start(now);
    let life = here.life();
    stoppable_by(here.door.clone(), live(world.clone(), process)).await;
    if here.life() == life {
        here.end();
    }
    Ok(())
}

async fn live(world: Arc<World>, process: usize) {
    let here = &world.processes[process];
    let (fleet, replica) = loop {
        match start(&world, process).await {
            Ok(started) => break started,
            // As when whatever supervises it starts it again.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    here.ready(replica.clone());
    world.note("ready", process, 0);
    loop {
        here.called.notified().await;
        while let Some(command) = here.next_call() {
            if let Command::Leave = command {
                let lingers = async {
                    for _ in 0..LINGERS {
                        sleep(Duration::from_millis(5)).await;
                        while let Some(command) = here.next_call() {
                            spawn_local(stoppable(act(world.clone(), process, replica.clone(), command)));
                        }
                    }
                };
                tokio::join!(fleet.leave(), lingers);
                world.note("left", process, 0);
                return;
            }
            spawn_local(stoppable(act(world.clone(), process, replica.clone(), command)));
        }
    }
}

async fn start(world: &Arc<World>, process: usize) -> Result<(Fleet, Arc<Replica>), StoreError> {
    let store: Arc<dyn Store> = Arc::new(SimulatedStore::new(world.clone(), process));
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(world.clone(), process));
    let memory = Arc::new(Memory::new(MEMORY_SIZE));
    let name = world.processes[process].name.clone();
    let lease = Duration::from_millis(LEASE);
    let fleet = Fleet::join(store.clone(), memory.clone(), clock.clone(), lease, name).await?;
    let (hashing, usage) = (Arc::<Hashing>::default(), Arc::<Usage>::default());
    let ledger = Arc::new(Ledger::new(store.clone(), clock.clone(), usage.clone(), true));
    let write_claims = |_: Json| Box::default();
    let lease = fleet.lease().clone();
    let verifier = Verifier::new(store.clone(), memory, lease, hashing.clone(), clock.clone(), ledger, write_claims);
    let admission = Arc::new(Admission::new(admission::Settings::default(), &clock));
    let management = Management::new(store, hashing, clock, fleet.barrier().clone(), usage, admission).await?;
    Ok((fleet, Arc::new(Replica { verifier, management, busy: AtomicUsize::new(0) })))
}

fn question(key: &str, scoped: bool) -> Question<'_> {
    const NEEDED: [&str; 1] = [LOST_SCOPE];
    let demand = if scoped { Demand { all_of: &NEEDED, any_of: &[] } } else { Demand::default() };
    Question { demand, ..Question::about(key) }
}

impl Replica {
    /// The verdict as far as it is known without reading anything.
    pub fn known(&self, key: &str, scoped: bool) -> Option<Verdict> {
        self.verifier.verify_known(&question(key, scoped), &Reach::AllButSystem)
    }

    /// The verdict.
    pub async fn verdict(&self, key: &str, scoped: bool) -> Result<Verdict, VerifyError> {
        self.verifier.verify(&question(key, scoped), &Reach::AllButSystem).await
    }
}

async fn act(world: Arc<World>, process: usize, replica: Arc<Replica>, command: Command) {
    match command {
        Command::Verify { secret, scoped } => {
            if replica.busy.load(Ordering::Relaxed) >= FILLS_MAX {
                return;
            }
            replica.busy.fetch_add(1, Ordering::Relaxed);
            let asked = world.history().ask(secret, scoped);
            let verdict = replica.verdict(&asked.text, scoped).await;
            replica.busy.fetch_sub(1, Ordering::Relaxed);
            answered(&world, process, &asked, verdict.ok().as_ref());
        }
        Command::Lose { key, way } => lose(&world, process, &replica.management, key, way).await,
        Command::Create => {
            let asked = CreateKey {
                keyspace: DEFAULT.to_owned(),
                name: "made".to_owned(),
                subject: "user_1".to_owned(),
                description: String::new(),
                scopes: vec![LOST_SCOPE.to_owned()],
                claims: Ok(Json::new()),
                metadata: [].into(),
                expiration: Expiration::Unset,
                created_by: String::new(),
                request_id: String::new(),
                allowance: AllowanceFields::default(),
            };
            if let Ok((key, secret)) = replica.management.create(asked, BY).await {
                let made = world.history().made(key.id, secret.expose().to_owned());
                world.note("made", process, made);
            }
        }
        // It is leaving already.
        Command::Leave => {}
    }
}

/// Notes what a verification answered.
pub fn answered(world: &World, process: usize, asked: &Asked, verdict: Option<&Verdict>) {
    let now = world.now();
    world.history().answered(now, process, asked, verdict);
}

async fn lose(world: &World, process: usize, management: &Management, key: usize, way: Way) {
    let reach = Reach::AllButSystem;
    let (id, before) = world.history().try_to_lose(key);
    world.note("asked", process, key);
    let update = |scopes: Vec<String>, enabled: bool, path: &str| UpdateKey {
        id: id.clone(),
        etag: String::new(),
        mask: Some(vec![path.to_owned()]),
        fields: KeyFields {
            name: String::new(),
            description: String::new(),
            scopes,
            claims: None,
            metadata: [].into(),
            expire_time: None,
            enabled,
            allowance: AllowanceFields::default(),
        },
        add_credits: 0,
        ends_overlap: false,
        ends_last_admin: false,
    };
    let mut new = None;
    let done = match way {
        Way::Revoke => {
            let grounds = Grounds::check(1, String::new(), None).expect("good grounds");
            management.revoke(&id, grounds, false, &reach, BY).await.map(drop)
        }
        Way::Delete => match management.delete(&id, false, &reach, BY).await {
            // Whoever is told that it is not there takes it that it is gone.
            Err(Error::Refused(_)) => Ok(()),
            done => done,
        },
        Way::Disable => management.update(update(Vec::new(), false, "enabled"), &reach, BY).await.map(drop),
        Way::Narrow => management.update(update(vec!["other".to_owned()], true, "scopes"), &reach, BY).await.map(drop),
        Way::Rotate => {
            let rotated = management.rotate(&id, 0, false, &reach, BY).await;
            rotated.map(|rotated| new = Some(rotated.secret.expose().to_owned()))
        }
    };
    let is_confirmed = done.is_ok();
    world.note(if is_confirmed { "confirmed" } else { "unconfirmed" }, process, key);
    if is_confirmed {
        world.history().lost(key, way, before, new);
    }
}

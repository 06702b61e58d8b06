//! ImportApiKeys: every material, and what comes of the keys.

use portcullis::grpc::pb::api_key_import::Material;
use portcullis::grpc::pb::api_key_import_result::Outcome;
use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{
    self, ApiKeyImport, CreateApiKeyRequest, DigestAlgorithm, ErrorReason, ImportApiKeysRequest,
    ListAuditEventsRequest, RevokeApiKeyRequest, RotateApiKeyRequest, SecretDigest, Verdict, VerifyRequest,
};
use portcullis::key::verifier::{sha256, sha384, sha512};
use prost::Message as _;
use tonic::{Code, Status};

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, details};

over_both_stores![
    every_material_verifies_and_nothing_like_it,
    a_second_import_changes_nothing,
    a_bucket_takes_four_and_says_when_it_is_full,
    a_request_compares_no_more_than_it_may,
    a_batch_has_its_limits,
    what_is_bad_is_said_without_the_secret,
    an_import_needs_its_permission_and_another_keyspace_than_system,
    without_imports_rubbish_stays_malformed,
    an_imported_key_is_a_key_like_any_other,
    a_key_of_another_portcullis_keeps_its_string,
    imports_at_once_make_each_key_once,
    a_restart_knows_what_was_imported,
    the_keyspace_decides_whose_secret_it_is,
    neighbours_salted_secrets_are_not_hashed_for_a_named_keyspace,
    the_digest_of_a_root_key_opens_nothing,
];

/// Of it by argon2-cffi, libxcrypt and hashlib: see `src/key/phc.rs`.
const TEXT: &str = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";
const ARGON2: &str = "$argon2i$v=16$m=64,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$N83gMNZc7WKPxK77s8r6ngq1vNkeAQlV2s3XPY073V8";
const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuu64TwFT2Xgun2bRSAut/qn5jW8BUA4cq";
const SCRYPT: &str = "$scrypt$ln=4,r=8,p=1$c29tZXNhbHRzb21lc2FsdA$GiN22NZhhVzcFwqTLAhNq80gour0dPhRXOTCA5V109g";

fn entry(material: Material) -> ApiKeyImport {
    ApiKeyImport {
        name: "imported".into(),
        subject: "user_1".into(),
        material: Some(material),
        ..ApiKeyImport::default()
    }
}

fn plaintext(text: &str) -> ApiKeyImport {
    entry(Material::Plaintext(text.into()))
}

fn phc(text: &str, lookup_prefix: &str) -> ApiKeyImport {
    ApiKeyImport { lookup_prefix: lookup_prefix.into(), ..entry(Material::Phc(text.into())) }
}

fn digest(algorithm: DigestAlgorithm, value: impl Into<Vec<u8>>) -> ApiKeyImport {
    entry(Material::Digest(SecretDigest { algorithm: algorithm.into(), value: value.into() }))
}

fn digest_of(text: &str) -> ApiKeyImport {
    digest(DigestAlgorithm::Sha256, *sha256(text).as_bytes())
}

async fn import_into(
    caller: &mut Caller,
    keyspace: &str,
    entries: Vec<ApiKeyImport>,
) -> Result<Vec<Result<pb::ApiKey, Status>>, Status> {
    let count = entries.len();
    let request = ImportApiKeysRequest { keyspace: keyspace.into(), entries, ..Default::default() };
    let results = caller.keys.import_api_keys(request).await?.into_inner().results;
    assert_eq!(results.len(), count);
    let result = |result: pb::ApiKeyImportResult| match result.outcome.expect("an outcome") {
        Outcome::ApiKey(key) => Ok(*key),
        Outcome::Status(status) => {
            let details = status.encode_to_vec().into();
            Err(Status::with_details(Code::from(status.code), status.message, details))
        }
    };
    Ok(results.into_iter().map(result).collect())
}

async fn import(caller: &mut Caller, entries: Vec<ApiKeyImport>) -> Vec<Result<pb::ApiKey, Status>> {
    import_into(caller, "", entries).await.expect("an answer")
}

async fn import_one(caller: &mut Caller, entry: ApiKeyImport) -> Result<pb::ApiKey, Status> {
    import(caller, vec![entry]).await.pop().expect("a result")
}

/// That there is such a key already: its id.
#[track_caller]
fn existing(result: Result<pb::ApiKey, Status>) -> String {
    let status = check_error(result, Code::AlreadyExists, ErrorReason::SecretExists);
    details(&status).error_info().expect("checked").metadata.get("key_id").cloned().unwrap_or_default()
}

async fn every_material_verifies_and_nothing_like_it(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"));
    // A keyspace each, for the secret is the same.
    let materials = [
        (plaintext(TEXT), "sk_test_4eC3…"),
        (ApiKeyImport { lookup_prefix: TEXT[..9].into(), ..plaintext(TEXT) }, "sk_test_4…"),
        (digest_of(TEXT), "sha256:2caf…"),
        (digest(DigestAlgorithm::Sha384, hex(sha384(TEXT).as_bytes())), "sha384:e6bb…"),
        // Python's base64.urlsafe_b64encode(hashlib.sha512(TEXT).digest()).
        (
            digest(
                DigestAlgorithm::Sha512,
                "6QjCnAgLLDNIAzbEX_RmajgkylyiIKoeFKGnCLH-OTfgt4_IR5XMCn8tR2idDFpHZbq23yW0doiGBJ1btBOU2A==",
            ),
            "sha512:e908…",
        ),
        (phc(ARGON2, "sk_test_"), "sk_test_…"),
        (phc(BCRYPT, "sk_test_4eC"), "sk_test_4eC…"),
        (phc(SCRYPT, "sk_test_4eC39Hq"), "sk_test_4eC3…"),
    ];
    assert_eq!(hex(sha512(TEXT).as_bytes())[..4], *"E908");
    for (n, (entry, hint)) in materials.into_iter().enumerate() {
        let keyspace = format!("k{n}");
        admin.create_keyspace(&keyspace).await;
        let other = TEXT.replace("sk_test", "sk_live");
        let unrelated = digest_of(&format!("{other}{n}"));
        let mut results = import_into(&mut admin, &keyspace, vec![entry.clone(), unrelated]).await.expect("an answer");
        results.pop().expect("two").expect("unrelated");
        let key = results.pop().expect("two").expect("each keyspace is as if it were alone");
        assert_eq!((key.hint.as_str(), key.keyspace.as_str()), (hint, keyspace.as_str()));
        let mut within = async |text: &str| {
            let request = VerifyRequest { key: text.into(), keyspace: keyspace.clone(), ..Default::default() };
            admin.verify_of(request).await
        };
        for _ in 0..2 {
            let answer = within(TEXT).await;
            assert_eq!((answer.verdict(), answer.key_id.as_str()), (Verdict::Valid, key.id.as_str()), "{n}");
            for wrong in [&TEXT[..31], &format!("{TEXT}x"), &TEXT.replace("p7dc", "p7dd"), &TEXT.to_uppercase(), &other]
            {
                assert_eq!(
                    within(wrong).await,
                    pb::VerifyResponse { verdict: Verdict::NotFound.into(), ..Default::default() }
                );
            }
        }
    }
    service.stop().await;
}

async fn a_second_import_changes_nothing(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let entries = || {
        vec![
            plaintext("sk_live_00000000aaaaaaaaaaaaaaaa"),
            plaintext("sk_live_00000000bbbbbbbbbbbbbbbb"),
            digest_of("one"),
            phc(ARGON2, "sk_test_"),
            // Once more, each.
            plaintext("sk_live_00000000aaaaaaaaaaaaaaaa"),
            digest_of("one"),
            phc(ARGON2, "sk_test_"),
        ]
    };
    let first = import(&mut admin, entries()).await;
    let ids: Vec<_> = first[..4].iter().map(|made| made.as_ref().expect("made").id.clone()).collect();
    let again: Vec<_> = first.into_iter().skip(4).map(existing).collect();
    assert_eq!(again, [&*ids[0], &ids[2], &ids[3]]);
    let events =
        admin.audit.list_audit_events(ListAuditEventsRequest::default()).await.unwrap().into_inner().audit_events;
    assert_eq!(events.iter().filter(|event| event.action == "ImportApiKeys").count(), 4);

    let second: Vec<_> = import(&mut admin, entries()).await.into_iter().map(existing).collect();
    assert_eq!(second, [&*ids[0], &ids[1], &ids[2], &ids[3], &ids[0], &ids[2], &ids[3]]);
    // With another prefix, and where the digest came before: the same secret.
    let text = "sk_live_00000000aaaaaaaaaaaaaaaa";
    let elsewhere = ApiKeyImport { lookup_prefix: text[..12].into(), ..plaintext(text) };
    assert_eq!(existing(import_one(&mut admin, elsewhere).await), ids[0]);
    let known = import_one(&mut admin, digest_of("sk_live_known_by_its_digest")).await.expect("new");
    assert_eq!(existing(import_one(&mut admin, plaintext("sk_live_known_by_its_digest")).await), known.id);
    let after =
        admin.audit.list_audit_events(ListAuditEventsRequest::default()).await.unwrap().into_inner().audit_events;
    assert_eq!(after.len(), events.len() + 1);
    // Another keyspace does not learn of it.
    admin.create_keyspace("other").await;
    let elsewhere = import_into(&mut admin, "other", vec![plaintext(text), digest_of("one")]).await.unwrap();
    assert!(elsewhere.iter().all(Result::is_ok));
    service.stop().await;
}

async fn a_bucket_takes_four_and_says_when_it_is_full(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let text = |n: usize| format!("sk_live_00000000{n:016}");
    let results = import(&mut admin, (0..6).map(|n| plaintext(&text(n))).collect()).await;
    let full = results.iter().filter(|result| result.is_err()).count();
    assert_eq!(full, 2);
    for (n, result) in results.into_iter().enumerate() {
        if n < 4 {
            result.expect("a place");
            assert_eq!(admin.verdict(&text(n)).await, Verdict::Valid);
        } else {
            let status = check_error(result, Code::FailedPrecondition, ErrorReason::LookupFull);
            assert!(status.message().contains("give a longer one"), "{}", status.message());
            assert_eq!(admin.verdict(&text(n)).await, Verdict::NotFound);
        }
    }
    // The one that is there is recognised although the bucket is full; a longer prefix has room.
    existing(import_one(&mut admin, plaintext(&text(1))).await);
    let longer = ApiKeyImport { lookup_prefix: "sk_live_0000000".into(), ..plaintext(&text(5)) };
    import_one(&mut admin, longer).await.expect("a bucket of its own");
    assert_eq!(admin.verdict(&text(5)).await, Verdict::Valid);

    // Of lengths there are 8: 16 and 15 are two.
    for length in 8..14 {
        let text = format!("{}{}", "abcdefgh", "x".repeat(40));
        let one = ApiKeyImport { lookup_prefix: text[..length].into(), ..plaintext(&format!("{text}{length}")) };
        import_one(&mut admin, one).await.expect("a length it may have");
    }
    let ninth = phc(SCRYPT, "sk_test_4eC39HqLy");
    let status =
        check_error(import_one(&mut admin, ninth).await, Code::FailedPrecondition, ErrorReason::LookupLengthsFull);
    assert!(status.message().contains("one of those"), "{}", status.message());
    // Where the server chooses, it takes one that there is.
    let odd = "odd_vendor_prefix_here_0123456789abcdef0123456789abcdef";
    assert_eq!(import_one(&mut admin, plaintext(odd)).await.expect("one that fits").hint, "odd_vendor_pref…");
    assert_eq!(admin.verdict(odd).await, Verdict::Valid);
    service.stop().await;
}

async fn a_request_compares_no_more_than_it_may(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let start = "sk_live_nested_";
    // 31 salted secrets, none of them of the plaintexts, that all of these may be.
    let salted = (8..=start.len()).flat_map(|length| (0..4).map(move |n| (length, n))).take(31);
    let salted = salted.map(|(length, n)| phc(&ARGON2.replace("N83g", &format!("N8{n:02}")), &start[..length]));
    assert!(import(&mut admin, salted.collect()).await.iter().all(Result::is_ok));
    let entries = |range: std::ops::Range<usize>| {
        let entry = |n| ApiKeyImport { lookup_prefix: start.into(), ..plaintext(&format!("{start}{n:020}")) };
        range.map(entry).collect::<Vec<_>>()
    };

    // 5,000 runs of Argon2id, and each counts as one: for 161 of them.
    let results = import(&mut admin, entries(0..200)).await;
    let (compared, refused) = results.split_at(161);
    assert_eq!(compared.iter().filter(|result| result.is_ok()).count(), 1, "there was one place");
    for result in refused {
        let status = check_error(result.clone(), Code::ResourceExhausted, ErrorReason::HashingBusy);
        assert!(status.message().contains("smaller batches"), "{}", status.message());
    }
    // Now there is no place: only its own bucket tells whether an entry is there already.
    let made = compared.iter().position(Result::is_ok).expect("one");
    for (n, result) in import(&mut admin, entries(0..200)).await.into_iter().enumerate() {
        if n == made {
            existing(result);
        } else {
            check_error(result, Code::FailedPrecondition, ErrorReason::LookupFull);
        }
    }
    service.stop().await;
}

async fn a_batch_has_its_limits(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let batch = |count: usize| (0..count).map(|n| digest_of(&format!("secret {n}"))).collect::<Vec<_>>();
    for count in [0, 1_001] {
        let result = import_into(&mut admin, "", batch(count)).await;
        let message = result.as_ref().map(drop).unwrap_err().message().to_owned();
        assert_eq!(bad_fields(result), ["entries"]);
        assert!(message.contains("1 to 1000") && message.contains(&count.to_string()), "{message}");
    }
    assert!(import(&mut admin, batch(1_000)).await.iter().all(Result::is_ok));
    // As much as can be wrong still arrives.
    let bad =
        || ApiKeyImport { name: String::new(), scopes: vec!["A".into(); 100], ..entry(Material::Phc("x".into())) };
    let results = import(&mut admin, (0..1_000).map(|_| bad()).collect()).await;
    assert!(results.into_iter().all(|result| bad_fields(result)[0] == "name"));
    service.stop().await;
}

async fn what_is_bad_is_said_without_the_secret(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let with_prefix = |prefix: &str, entry: ApiKeyImport| ApiKeyImport { lookup_prefix: prefix.into(), ..entry };
    let cases: Vec<(ApiKeyImport, &[&str])> = vec![
        (ApiKeyImport { material: None, ..plaintext("") }, &["material"]),
        (plaintext("hush_hush_too_short"), &["plaintext"]),
        (plaintext("hush hush, there are spaces in it"), &["plaintext"]),
        (plaintext(&"hush".repeat(129)), &["plaintext"]),
        (with_prefix("hush_hu", plaintext("hush_hush_long_enough_for_all")), &["lookup_prefix"]),
        (with_prefix("hash_hush", plaintext("hush_hush_long_enough_for_all")), &["lookup_prefix"]),
        (with_prefix("hush_hush_long_enough", plaintext("hush_hush_long_enough_for_all")), &["lookup_prefix"]),
        (digest(DigestAlgorithm::Sha256, "hush"), &["digest.value"]),
        (digest(DigestAlgorithm::Unspecified, "hush"), &["digest.algorithm"]),
        (with_prefix("hush_hush", digest_of("one")), &["lookup_prefix"]),
        (phc(SCRYPT, ""), &["lookup_prefix"]),
        (phc("$argon2id$hush", "hush_hush"), &["phc"]),
        (phc(&SCRYPT.replace("ln=4", "ln=30").replace("GiN22", "+hush"), "sk_test_"), &["phc"]),
        (phc(&ARGON2.replace("m=64", "m=4194304").replace("N83gM", "+hush"), ""), &["phc", "lookup_prefix"]),
        (
            ApiKeyImport { name: String::new(), subject: "no spaces".into(), ..plaintext("hush") },
            &["name", "subject", "plaintext"],
        ),
    ];
    let (entries, expect): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let shown = format!("{:?}", ImportApiKeysRequest { entries: entries.clone(), ..Default::default() });
    assert!(!shown.contains("hush") && !shown.contains('$'), "{shown}");
    for (result, expect) in import(&mut admin, entries).await.into_iter().zip(expect) {
        let status = result.as_ref().map(drop).unwrap_err().clone();
        let said = format!("{} {:?}", status.message(), status.said());
        assert!(!said.contains("hush"), "{said}");
        assert_eq!(bad_fields(result), expect, "{said}");
    }
    assert_eq!(admin.verdict("hush_hush_too_short").await, Verdict::Malformed, "none of them left a form");
    service.stop().await;
}

/// What a status says in its details, as text.
trait Said {
    fn said(&self) -> Vec<String>;
}

impl Said for Status {
    fn said(&self) -> Vec<String> {
        let bad = details(self).bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        bad.into_iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect()
    }
}

async fn an_import_needs_its_permission_and_another_keyspace_than_system(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("prod").await;
    let one = || vec![digest_of("one")];
    for permissions in [&["keys:read", "keys:verify", "keys:revoke"][..], &["keys:write@prod"]] {
        let mut caller = service.caller_with(permissions).await;
        let denied = import_into(&mut caller, "", one()).await;
        check_error(denied, Code::PermissionDenied, ErrorReason::PermissionMissing);
    }
    let mut writer = service.caller_with(&["keys:write@default"]).await;
    import_into(&mut writer, "", one()).await.unwrap()[0].as_ref().expect("made");
    let reserved = import_into(&mut admin, "system", one()).await;
    check_error(reserved, Code::FailedPrecondition, ErrorReason::KeyspaceReserved);
    let denied = import_into(&mut writer, "system", one()).await;
    check_error(denied, Code::PermissionDenied, ErrorReason::PermissionMissing);
    let unknown = import_into(&mut admin, "never-made", one()).await;
    check_error(unknown, Code::NotFound, ErrorReason::KeyspaceNotFound);
    assert_eq!(bad_fields(import_into(&mut admin, "No Such", one()).await), ["keyspace"]);
    service.stop().await;
}

async fn without_imports_rubbish_stays_malformed(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("clean").await;
    assert_eq!(admin.verdict(TEXT).await, Verdict::Malformed);
    import_one(&mut admin, phc(ARGON2, "sk_test_4eC39H")).await.expect("made");
    assert_eq!(admin.verdict(TEXT).await, Verdict::Valid);
    let mut clean = async |keyspace: &str, text: &str| {
        let request = VerifyRequest { key: text.into(), keyspace: keyspace.into(), ..Default::default() };
        admin.verify_of(request).await.verdict()
    };
    assert_eq!(clean("clean", TEXT).await, Verdict::Malformed, "its keyspace has none");
    assert_eq!(clean("default", "sk_test_ with spaces").await, Verdict::Malformed, "of no form");
    assert_eq!(clean("default", "sk_test_4eC39H").await, Verdict::Malformed, "no longer than a prefix");
    assert_eq!(clean("default", &"x".repeat(513)).await, Verdict::Malformed);
    assert_eq!(clean("default", "").await, Verdict::Malformed);
    service.stop().await;
}

async fn an_imported_key_is_a_key_like_any_other(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let key = import_one(&mut admin, ApiKeyImport { scopes: vec!["a".into()], ..plaintext(TEXT) }).await.expect("made");
    assert_eq!(admin.verify(TEXT).await.scopes, ["a"]);
    let off = pb::ApiKey { id: key.id.clone(), ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    assert_eq!(admin.verdict(TEXT).await, Verdict::Disabled);
    let on = pb::ApiKey { id: key.id.clone(), enabled: true, ..Default::default() };
    admin.update(on, &["enabled"]).await.unwrap();

    let overlap = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: key.id.clone(), overlap, ..Default::default() })
        .await
        .unwrap();
    let rotated = rotated.into_inner();
    assert!(rotated.secret.starts_with("ak_"));
    assert_eq!(admin.verdict(TEXT).await, Verdict::Valid);
    assert_eq!(admin.verdict(&rotated.secret).await, Verdict::Valid);
    assert_eq!(rotated.api_key.unwrap().secrets.len(), 2);

    let leaked = RevokeApiKeyRequest { target: Some(Target::Secret(TEXT.into())), ..Default::default() };
    admin.keys.revoke_api_key(leaked).await.expect("revoked by its secret");
    assert_eq!(admin.verdict(TEXT).await, Verdict::Revoked);
    assert_eq!(admin.verdict(&TEXT.replace("p7dc", "p7dd")).await, Verdict::NotFound);
    existing(import_one(&mut admin, plaintext(TEXT)).await);
    assert_eq!(admin.verdict(TEXT).await, Verdict::Revoked, "an import again revives nothing");

    let events = admin.audit.list_audit_events(ListAuditEventsRequest::default()).await.unwrap().into_inner();
    assert!(!format!("{events:?}").contains("HqLyj"), "no secret in the trail");
    admin.keys.delete_api_key(pb::DeleteApiKeyRequest { id: key.id, ..Default::default() }).await.expect("deleted");
    assert_eq!(admin.verdict(TEXT).await, Verdict::NotFound);
    service.stop().await;
}

async fn a_key_of_another_portcullis_keeps_its_string(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let elsewhere = Service::start(Backend::Sqlite).await;
    let (_, secret) = elsewhere.admin().create(CreateApiKeyRequest { ..crate::support::service::new_key("k") }).await;
    let key = import_one(&mut admin, plaintext(&secret)).await.expect("made");
    assert_eq!(key.hint, format!("{}…", &secret[..7]));
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    assert_eq!(existing(import_one(&mut admin, plaintext(&secret)).await), key.id);
    assert_eq!(admin.verdict(TEXT).await, Verdict::Malformed, "it needed no form");
    // One that was issued here has its key.
    let (issued, secret) = admin.create(crate::support::service::new_key("k")).await;
    assert_eq!(existing(import_one(&mut admin, plaintext(&secret)).await), issued.id);
    // Nor by its digest is it lost.
    let (_, secret) = elsewhere.admin().create(crate::support::service::new_key("k")).await;
    import_one(&mut admin, digest_of(&secret)).await.expect("made");
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    let root = elsewhere.root_key.clone();
    assert_eq!(bad_fields(import_one(&mut admin, plaintext(&root)).await), ["plaintext"]);
    elsewhere.stop().await;
    service.stop().await;
}

async fn imports_at_once_make_each_key_once(backend: Backend) {
    let service = Service::start(backend).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let mut admin = service.admin();
        running.spawn(async move {
            let texts = (0..4).map(|n| plaintext(&format!("sk_live_00000000{n:016}")));
            import(&mut admin, texts.chain([digest_of("one")]).collect()).await
        });
    }
    let results: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (5, 15));
    let ids: Vec<_> = made.into_iter().map(|key| key.expect("made").id).collect();
    assert!(refused.into_iter().all(|result| ids.contains(&existing(result))));
    service.stop().await;
}

async fn a_restart_knows_what_was_imported(backend: Backend) {
    let fixture = crate::support::backend::Fixture::new(backend).await;
    let service = Service::start_over(fixture, None).await;
    import_one(&mut service.admin(), phc(BCRYPT, "sk_test_")).await.expect("made");
    let root_key = service.root_key.clone();
    let fixture = service.stop_and_keep().await;
    let service = Service::start_over(fixture, Some(root_key)).await;
    assert_eq!(service.admin().verdict(TEXT).await, Verdict::Valid);
    service.stop().await;
}

/// The key that `caller` finds `text` to be, in a keyspace or in any.
async fn found(caller: &mut Caller, text: &str, keyspace: &str) -> (Verdict, String) {
    let request = VerifyRequest { key: text.into(), keyspace: keyspace.into(), ..Default::default() };
    let answer = caller.verify_of(request).await;
    (answer.verdict(), answer.key_id)
}

async fn the_keyspace_decides_whose_secret_it_is(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let keyspaces = ["victim", "evil", "third"];
    for id in keyspaces {
        admin.create_keyspace(id).await;
    }
    // In whatever form each has it, salted or not.
    let all: [fn(&str) -> ApiKeyImport; 3] =
        [plaintext, digest_of, |text| ApiKeyImport { lookup_prefix: text[..10].into(), ..plaintext(text) }];
    for turn in 0..3 {
        let text = format!("sk_live_{turn}0000000aaaaaaaaaaaaaaaa");
        let mut ids = Vec::new();
        for (nth, id) in keyspaces.iter().enumerate() {
            let entry = all[(turn + nth) % 3](&text);
            let made = import_into(&mut admin, id, vec![entry]).await.unwrap().swap_remove(0);
            ids.push(made.expect("nobody is told of another's").id);
        }
        let mut late = service.caller_with(&["keys:verify@third", "keys:verify@evil"]).await;
        // At first nobody has hashed anything, and then those who name a keyspace have.
        for round in 0..3 {
            assert_eq!(found(&mut admin, &text, "").await, (Verdict::Valid, ids[0].clone()), "{turn} {round}");
            for (id, keyspace) in ids.iter().zip(keyspaces).rev() {
                assert_eq!(found(&mut admin, &text, keyspace).await, (Verdict::Valid, id.clone()), "{turn} {round}");
            }
            assert_eq!(found(&mut late, &text, "").await, (Verdict::Valid, ids[1].clone()), "{turn} {round}");
        }
        assert_eq!(found(&mut admin, &text, "default").await.0, Verdict::Malformed);

        // By the secret all are revoked that the caller may revoke.
        let mut revoker = service.caller_with(&["keys:revoke@victim", "keys:revoke@third"]).await;
        let target = Some(Target::Secret(text.clone()));
        revoker.keys.revoke_api_key(RevokeApiKeyRequest { target, ..Default::default() }).await.expect("revoked");
        for (keyspace, verdict) in [("victim", Verdict::Revoked), ("evil", Verdict::Valid), ("third", Verdict::Revoked)]
        {
            assert_eq!(found(&mut admin, &text, keyspace).await.0, verdict, "{turn} {keyspace}");
        }
        assert_eq!(found(&mut admin, &text, "").await, (Verdict::Revoked, ids[0].clone()), "the first one counts");
    }
    service.stop().await;
}

async fn neighbours_salted_secrets_are_not_hashed_for_a_named_keyspace(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for id in ["victim", "evil"] {
        admin.create_keyspace(id).await;
    }
    // As many as there is room for, under the prefix of the other's.
    let salted = (0..4).map(|n| phc(&ARGON2.replace("N83g", &format!("N8{n:02}")), "sk_live_"));
    let made = import_into(&mut admin, "evil", salted.collect()).await.unwrap();
    assert!(made.iter().all(Result::is_ok));
    let text = |n: usize| format!("sk_live_{n:024}");
    let made = import_into(&mut admin, "victim", vec![digest_of(&text(0))]).await.unwrap();
    let key = made[0].as_ref().expect("made").id.clone();
    let wrong = async |caller: &mut Caller, keyspace: &str| {
        for n in 100..120 {
            let request = VerifyRequest { key: text(n), keyspace: keyspace.into(), ..Default::default() };
            match caller.verification.verify(request).await {
                Ok(answer) => assert_eq!(answer.into_inner().verdict(), Verdict::NotFound),
                Err(status) => return Err(status),
            }
        }
        Ok(())
    };
    // More than may be guessed at the neighbour's: none of them is.
    wrong(&mut admin, "victim").await.expect("no guess at anything");
    assert_eq!(found(&mut admin, &text(0), "victim").await, (Verdict::Valid, key.clone()));
    // Where no keyspace is named they are guesses at those, which are limited; what is right is found all the same.
    check_error(wrong(&mut admin, "").await, Code::ResourceExhausted, ErrorReason::GuessingThrottled);
    assert_eq!(found(&mut admin, &text(0), "").await, (Verdict::Valid, key.clone()));
    let target = Some(Target::Secret(text(0)));
    let revoked = admin.keys.revoke_api_key(RevokeApiKeyRequest { target, ..Default::default() }).await;
    check_error(revoked, Code::ResourceExhausted, ErrorReason::GuessingThrottled);
    assert_eq!(found(&mut admin, &text(0), "victim").await, (Verdict::Revoked, key), "what is known is revoked");
    service.stop().await;
}

async fn the_digest_of_a_root_key_opens_nothing(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let root_key = service.root_key.clone();
    import_one(&mut admin, digest_of(&root_key)).await.expect("it is a digest as any other");
    import_one(&mut admin, phc(ARGON2, &root_key[..16])).await.expect("and this a prefix");
    for keyspace in ["", "default"] {
        for _ in 0..2 {
            assert_eq!(found(&mut admin, &root_key, keyspace).await, (Verdict::NotFound, String::new()));
        }
    }
    assert_eq!(found(&mut admin, &root_key, "system").await.0, Verdict::Valid);
    let asked = pb::VerifyApiKeyRequest { key: root_key.clone(), ..Default::default() };
    assert!(admin.keys.verify_api_key(asked).await.unwrap().into_inner().api_key.is_none());
    service.stop().await;
}

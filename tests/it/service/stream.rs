//! VerifyStream: what Verify says, as it is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis::clock::{Clock as _, ManualClock, SystemClock};
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, ErrorReason, Verdict, VerifyRequest, VerifyResponse, VerifyStreamRequest,
};
use tonic::{Code, Status};

use super::batch::every_verdict;
use super::{Backend, over_both_stores};
use crate::support::raw::{Raw, framed, hear, send};
use crate::support::service::{Service, bad_fields, check_error, eventually, in_time, new_key};
use crate::support::talk::Talk;

over_both_stores![
    answers_are_those_of_verify_by_their_ids,
    nothing_asked_is_nothing_answered,
    a_bad_request_ends_the_stream,
    who_may_not_verify_hears_so,
    a_root_key_that_ends_ends_its_streams,
    a_message_cut_short_ends_the_stream,
    who_dies_in_the_middle_of_a_message_leaves_nothing_behind,
    who_does_not_listen_is_not_listened_to,
    a_stream_outlives_changes_of_other_keys,
];

async fn answers_are_those_of_verify_by_their_ids(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let (requests, verdicts): (Vec<_>, Vec<_>) = every_verdict(&mut admin, &clock).await.into_iter().unzip();
    let mut alone: Vec<VerifyResponse> = Vec::new();
    // At first none is known.
    for known in [false, true] {
        let mut talk = Talk::begin(&mut admin).await;
        for (nth, request) in requests.iter().enumerate() {
            talk.ask(&nth.to_string(), request.clone()).await;
        }
        // What was asked is answered although no more will be.
        talk.ask_no_more();
        let mut answers = vec![None; requests.len()];
        let mut order = Vec::new();
        while let Some((id, answer)) = talk.hear().await.expect("an answer") {
            let nth: usize = id.parse().expect("an id of ours");
            assert_eq!(answers[nth].replace(answer), None, "{nth} was answered twice");
            order.push(nth);
        }
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("all are answered")).collect();
        assert_eq!(answers.iter().map(VerifyResponse::verdict).collect::<Vec<_>>(), verdicts);
        if known {
            assert_eq!(answers, alone);
            assert!(backend != Backend::Sqlite || order.is_sorted(), "what is known is answered in order: {order:?}");
        }
        alone.clear();
        for request in &requests {
            alone.push(admin.verify_of(request.clone()).await);
        }
        assert_eq!(answers, alone);
    }
    service.stop().await;
}

async fn nothing_asked_is_nothing_answered(backend: Backend) {
    let service = Service::start(backend).await;
    let mut talk = Talk::begin(&mut service.admin()).await;
    talk.ask_no_more();
    assert_eq!(talk.hear().await.expect("a good end"), None);
    // An empty message is a question too, and so is an empty id an id.
    let mut talk = Talk::begin(&mut service.admin()).await;
    talk.ask_just(VerifyStreamRequest::default()).await;
    let (id, answer) = talk.hear().await.expect("an answer").expect("one");
    assert_eq!((id.as_str(), answer.verdict()), ("", Verdict::Malformed));
    drop(talk);
    service.stop().await;
}

async fn a_bad_request_ends_the_stream(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    let mut talk = Talk::begin(&mut admin).await;
    assert_eq!(talk.verdict(&secret).await.expect("a verdict"), Verdict::Valid);
    let bad = VerifyRequest { key: secret, any_of_scopes: vec!["a".into(), "NOT".into()], ..Default::default() };
    // What was asked before is answered first, also if it takes longer.
    let (_, new) = admin.create(new_key("new")).await;
    talk.ask("new", VerifyRequest { key: new, ..Default::default() }).await;
    talk.ask("bad", bad).await;
    let (id, answer) = talk.hear().await.expect("an answer").expect("one");
    assert_eq!((id.as_str(), answer.verdict()), ("new", Verdict::Valid));
    assert_eq!(bad_fields(talk.hear().await), ["request.any_of_scopes[1]"]);
    assert_eq!(talk.hear().await.expect("no second end"), None);
    service.stop().await;
}

async fn who_may_not_verify_hears_so(backend: Backend) {
    let service = Service::start(backend).await;
    let refused = Talk::try_begin(&mut service.stranger()).await.map(drop);
    check_error(refused, Code::Unauthenticated, ErrorReason::CredentialMissing);
    let mut talk = Talk::begin(&mut service.caller_with(&["keys:read"]).await).await;
    check_error(talk.verdict("x").await, Code::PermissionDenied, ErrorReason::PermissionMissing);
    // It is in the audit trail, as one of a unary call is.
    let mut admin = service.admin();
    let request = pb::ListAuditEventsRequest::default();
    let denied = async || {
        let page = admin.audit.list_audit_events(request.clone()).await.expect("a page").into_inner();
        page.audit_events.into_iter().find(|event| event.action == "PermissionDenied")
    };
    let changes = eventually("the event", denied).await.changes.expect("what was denied");
    assert_eq!(changes.fields["method"], "/portcullis.v1.VerificationService/VerifyStream".into());
    assert_eq!(changes.fields["permission"], "keys:verify".into());
    service.stop().await;
}

async fn a_root_key_that_ends_ends_its_streams(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    let request =
        CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["keys:verify".into()], ..new_key("caller") };
    let (root, credential) = admin.create(request).await;
    let mut caller = service.caller(&credential);
    let (mut first, mut second) = (Talk::begin(&mut caller).await, Talk::begin(&mut caller).await);
    for talk in [&mut first, &mut second] {
        for _ in 0..3 {
            assert_eq!(talk.verdict(&secret).await.expect("a verdict"), Verdict::Valid);
        }
    }
    let narrower = pb::ApiKey { id: root.id.clone(), scopes: vec!["keys:read".into()], ..Default::default() };
    admin.update(narrower, &["scopes"]).await.unwrap();
    check_error(first.verdict(&secret).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
    admin.revoke(&root.id).await;
    check_error(second.verdict(&secret).await, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    service.stop().await;
}

async fn a_stream_outlives_changes_of_other_keys(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let mut talk = Talk::begin(&mut admin).await;
    for _ in 0..20 {
        let (key, secret) = admin.create(new_key("k")).await;
        assert_eq!(talk.verdict(&secret).await.expect("a verdict"), Verdict::Valid);
        admin.revoke(&key.id).await;
        assert_eq!(talk.verdict(&secret).await.expect("a verdict"), Verdict::Revoked);
    }
    talk.ask_no_more();
    assert_eq!(talk.hear().await.expect("a good end"), None);
    service.stop().await;
}

fn question(nth: usize) -> Bytes {
    let request = VerifyRequest { key: "no key".into(), ..Default::default() };
    framed(&VerifyStreamRequest { correlation_id: nth.to_string(), request: Some(request) })
}

async fn a_message_cut_short_ends_the_stream(backend: Backend) {
    let service = Service::start(backend).await;
    let raw = Raw::connect(service.addr, &service.root_key).await;
    let whole = question(1);
    let cut = whole.slice(..whole.len() - 1);
    let answer = raw.call(raw.request("VerifyStream"), vec![whole.clone(), cut], None).await;
    assert!(!answer.body.is_empty(), "what was whole is answered first");
    check_error(answer.error(), Code::InvalidArgument, ErrorReason::RequestMalformed);
    let not_utf8 = crate::support::raw::framed_bytes(&[0x0a, 1, 0xff]);
    let answer = raw.call(raw.request("VerifyStream"), vec![whole, not_utf8], None).await;
    check_error(answer.error(), Code::InvalidArgument, ErrorReason::RequestMalformed);
    service.stop().await;
}

async fn who_dies_in_the_middle_of_a_message_leaves_nothing_behind(backend: Backend) {
    let service = Service::start(backend).await;
    for how in ["reset", "gone"] {
        let raw = Raw::connect(service.addr, &service.root_key).await;
        let (answer, mut body) = raw.begin(raw.request("VerifyStream")).await;
        let whole = question(1);
        send(&mut body, whole.clone(), false).await.expect("sent");
        let mut answers = in_time("headers", answer).await.expect("a stream").into_body();
        in_time("an answer", answers.data()).await.expect("one").expect("one");
        send(&mut body, whole.slice(..9), false).await.expect("sent");
        if how == "reset" {
            body.send_reset(h2::Reason::CANCEL);
            let sound = raw.call(raw.request("VerifyStream"), vec![whole], None).await;
            assert_eq!(sound.status.expect("a status").code(), Code::Ok);
        }
    }
    // Were one of them still open, this would wait for it.
    service.stop().await;
}

async fn who_does_not_listen_is_not_listened_to(backend: Backend) {
    /// Far more than all buffers between hold.
    const FAR_TOO_MANY: usize = 1_000_000;
    let service = Service::start(backend).await;
    let raw = Raw::connect(service.addr, &service.root_key).await;
    let (answer, mut body) = raw.begin(raw.request("VerifyStream")).await;
    let mut sent = 0;
    let mut rest = Bytes::new();
    // A server that stops to read does so for good; one that is only slow is taken for one at worst.
    while let Ok(room) = tokio::time::timeout(Duration::from_secs(2), {
        body.reserve_capacity(question(sent).len());
        std::future::poll_fn(|cx| body.poll_capacity(cx))
    })
    .await
    {
        let room = room.expect("open").expect("room");
        if rest.is_empty() {
            rest = question(sent);
            sent += 1;
        }
        let part = rest.split_to(room.min(rest.len()));
        body.send_data(part, false).expect("open");
        assert!(sent < FAR_TOO_MANY, "it reads on and on");
    }
    // Once it is listened to, nothing of all that was lost.
    let hearing = tokio::spawn(hear(answer));
    send(&mut body, rest, true).await.expect("it reads again");
    let answer = in_time("the answers", hearing).await.expect("no panic");
    assert_eq!(answer.status.as_ref().map(Status::code), Some(Code::Ok), "{:?}", answer.status);
    let mut answers = 0;
    let mut body = answer.body.as_ref();
    while let Some((head, behind)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        body = &behind[length..];
        answers += 1;
    }
    assert_eq!(answers, sent);
    service.stop().await;
}

//! ApiKeyService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller::{self, Caller};
use super::pb::api_key_import_result::Outcome;
use super::pb::api_key_service_server::ApiKeyService;
use super::pb::revoke_api_key_request::Target;
use super::verification::Place;
use super::{admitted, convert, pb, status, verification};
use crate::clock::Clock;
use crate::key::id::KeyId;
use crate::key::keyspace::DEFAULT;
use crate::key::network;
use crate::key::pasted::{self, Pasted};
use crate::key::permission::{Permission, Reach};
use crate::key::recognize::{self, TextKind};
use crate::key::record::ApiKey;
use crate::key::scope::Demand;
use crate::key::secret::Secret;
use crate::key::token::Token;
use crate::manage::{self, Grounds, KeyFields, ListKeys, Management, UpdateKey, Violations};
use crate::store::Refusal;
use crate::verify::verdict::Verdict;
use crate::verify::{Inspected, Question, Verifier, VerifyError};

/// The handlers.
pub struct ApiKeys {
    /// The use cases.
    pub management: Arc<Management>,
    /// For VerifyApiKey, and to revoke by secret.
    pub verifier: Arc<Verifier>,
    /// For the state that a key is shown in.
    pub clock: Arc<dyn Clock>,
}

impl ApiKeys {
    fn show(&self, key: ApiKey) -> pb::ApiKey {
        convert::api_key(key, self.clock.now())
    }
}

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> Result<Response<pb::CreateApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        caller.may(Permission::KeysWrite, or_default(&request.get_ref().keyspace))?;
        let asked = request.into_inner();
        let asked = convert::create_key(asked);
        let (key, secret) = self.management.create(asked, caller.principal()).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::CreateApiKeyResponse {
            api_key: Some(self.show(key)),
            secret: secret.expose().to_owned(),
        }))
    }

    async fn import_api_keys(
        &self,
        request: Request<pb::ImportApiKeysRequest>,
    ) -> Result<Response<pb::ImportApiKeysResponse>, Status> {
        let caller = caller::of(&request).await?;
        caller.may(Permission::KeysWrite, or_default(&request.get_ref().keyspace))?;
        let asked = request.into_inner();
        let entries = asked.entries.into_iter().map(convert::import_entry).collect();
        let imported = if asked.validate_only {
            self.management.check_import(&asked.keyspace, entries).await
        } else {
            self.management.import(&asked.keyspace, entries, caller.principal()).await
        };
        let results = imported.map_err(status::from_manage)?;
        let outcome = |result: Result<ApiKey, manage::Error>| match result {
            Ok(key) if asked.validate_only => {
                Outcome::ApiKey(Box::new(pb::ApiKey { id: String::new(), ..self.show(key) }))
            }
            Ok(key) => Outcome::ApiKey(Box::new(self.show(key))),
            Err(error) => {
                let status = status::from_manage(error);
                caller.note_status(&status);
                Outcome::Status(status::as_message(&status))
            }
        };
        let results = results.into_iter().map(|result| pb::ApiKeyImportResult { outcome: Some(outcome(result)) });
        Ok(Response::new(pb::ImportApiKeysResponse { results: results.collect() }))
    }

    async fn get_api_key(
        &self,
        request: Request<pb::GetApiKeyRequest>,
    ) -> Result<Response<pb::GetApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeysRead)?;
        let id = KeyId::from_text(request.into_inner().id);
        let key = self.management.get(&id, &reach).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::GetApiKeyResponse { api_key: Some(self.show(key)) }))
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> Result<Response<pb::ListApiKeysResponse>, Status> {
        let caller = caller::of(&request).await?;
        caller.may(Permission::KeysRead, or_default(&request.get_ref().keyspace))?;
        let asked = request.into_inner();
        let asked = ListKeys {
            keyspace: asked.keyspace,
            subject: asked.subject,
            query: asked.query,
            include_invalid: asked.include_invalid,
            metadata: asked.metadata,
            created_by: asked.created_by,
            unused_since: asked.unused_since.map(convert::time_nanos),
            page_size: asked.page_size,
            page_token: asked.page_token,
            skip: asked.skip,
            exact_total: asked.exact_total,
        };
        let page = self.management.list(asked).await.map_err(status::from_manage)?;
        let now = self.clock.now();
        let message = pb::ListApiKeysResponse {
            api_keys: page.items.into_iter().map(|key| convert::api_key(key, now)).collect(),
            next_page_token: page.next_page_token,
            total_size: i64::try_from(page.total).unwrap_or(i64::MAX),
            total_size_is_lower_bound: page.total_is_lower_bound,
        };
        Ok(admitted::page(message, page.place))
    }

    async fn update_api_key(
        &self,
        request: Request<pb::UpdateApiKeyRequest>,
    ) -> Result<Response<pb::UpdateApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeysWrite)?;
        let asked = request.into_inner();
        let key = asked.api_key.unwrap_or_default();
        let asked = UpdateKey {
            id: KeyId::from_text(key.id),
            etag: key.etag,
            mask: convert::mask(asked.update_mask),
            add_credits: asked.add_credits,
            ends_overlap: asked.end_overlap,
            ends_last_admin: asked.allow_last_admin,
            fields: KeyFields {
                name: key.name,
                description: key.description,
                scopes: key.scopes,
                claims: key.claims.map(convert::claims),
                metadata: key.metadata,
                expire_time: key.expire_time.map(convert::time_nanos),
                enabled: key.enabled,
                allowance: convert::allowance(key.rate_limit, key.credits, key.allowed_cidrs),
            },
        };
        let key = self.management.update(asked, &reach, caller.principal()).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::UpdateApiKeyResponse { api_key: Some(self.show(key)) }))
    }

    async fn rotate_api_key(
        &self,
        request: Request<pb::RotateApiKeyRequest>,
    ) -> Result<Response<pb::RotateApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeysWrite)?;
        let asked = request.into_inner();
        let id = KeyId::from_text(asked.id);
        let overlap = asked.overlap.map_or(0, convert::length_nanos);
        let rotated = self.management.rotate(&id, overlap, asked.end_overlap, &reach, caller.principal()).await;
        let rotated = rotated.map_err(status::from_manage)?;
        Ok(Response::new(pb::RotateApiKeyResponse {
            api_key: Some(self.show(rotated.key)),
            secret: rotated.secret.expose().to_owned(),
            previous_secret_expire_time: Some(convert::timestamp(rotated.previous_expire_time)),
        }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<pb::RevokeApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeysRevoke)?;
        let asked = request.into_inner();
        let absent = match &asked.target {
            None => Some("target"),
            Some(Target::Id(id)) if id.is_empty() => Some("id"),
            Some(_) => None,
        };
        // A secret that leaked is ended whatever follows from it.
        let ends_last_admin = asked.allow_last_admin || matches!(asked.target, Some(Target::Secret(_)));
        let grounds = Grounds::check(asked.reason, asked.comment, absent).map_err(status::from_manage)?;
        if let Some(Target::Secret(text)) = &asked.target
            && recognize::kind_of(text) == Some(TextKind::KeyId)
        {
            return Err(bad_secret("must be a secret; is the id of a key: send it as `id`"));
        }
        let (ids, untold) = match asked.target {
            Some(Target::Secret(text)) => self.ids_in(&Secret::new(text), &caller, &reach).await?,
            Some(Target::Id(id)) => (vec![KeyId::from_text(id)], None),
            None => (vec![KeyId::from_text("")], None),
        };
        let mut first = None;
        for id in &ids {
            let revoked =
                self.management.revoke(id, grounds.clone(), ends_last_admin, &reach, caller.principal()).await;
            first.get_or_insert(revoked.map_err(status::from_manage)?);
        }
        // Those that are known are revoked; it is not known of all.
        if let Some(error) = untold {
            return Err(status::from_verify(error));
        }
        let key = first.ok_or_else(key_not_found)?;
        Ok(Response::new(pb::RevokeApiKeyResponse { api_key: Some(self.show(key)) }))
    }

    async fn delete_api_key(
        &self,
        request: Request<pb::DeleteApiKeyRequest>,
    ) -> Result<Response<pb::DeleteApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeysRevoke)?;
        let asked = request.into_inner();
        let id = KeyId::from_text(asked.id);
        let deleted = self.management.delete(&id, asked.allow_last_admin, &reach, caller.principal()).await;
        deleted.map_err(status::from_manage)?;
        Ok(Response::new(pb::DeleteApiKeyResponse {}))
    }

    async fn verify_api_key(
        &self,
        request: Request<pb::VerifyApiKeyRequest>,
    ) -> Result<Response<pb::VerifyApiKeyResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.verification_reach(&request.get_ref().keyspace)?;
        let asked = request.into_inner();
        let (all_of, any_of) = (texts(&asked.required_scopes), texts(&asked.any_of_scopes));
        let demand = Demand { all_of: &all_of, any_of: &any_of };
        let mut bad = Violations::default();
        verification::check_demand(demand, &asked.keyspace, Place::Message, &mut bad);
        verification::check_spending(&asked.client_ip, asked.cost, Place::Message, &mut bad);
        bad.check().map_err(status::from_manage)?;
        let key = Secret::new(asked.key);
        let question = Question {
            keyspace: &asked.keyspace,
            demand,
            client: network::address(&asked.client_ip).ok(),
            cost: asked.cost.unwrap_or(1),
            caller: Some(caller.key()),
            ..Question::about(key.expose())
        };
        let Inspected { verdict, key } = self.verifier.inspect(&question, reach).await.map_err(status::from_verify)?;
        Ok(Response::new(pb::VerifyApiKeyResponse {
            valid: matches!(verdict, Verdict::Valid(..)),
            verdict: verification::number(&verdict).into(),
            missing_scopes: match verdict {
                Verdict::InsufficientScope { missing, .. } => missing,
                _ => Vec::new(),
            },
            api_key: key.map(|key| self.show(key)),
        }))
    }
}

fn texts(of: &[String]) -> Vec<&str> {
    of.iter().map(String::as_str).collect()
}

impl ApiKeys {
    /// The ids of the keys that `secret` proves: several, if it was imported in several forms or into several keyspaces.
    /// And why it could not be told of others.
    async fn ids_of(
        &self,
        secret: &Secret,
        caller: &Caller,
        reach: &Reach,
    ) -> Result<(Vec<KeyId>, Option<VerifyError>), Status> {
        let question = Question { caller: Some(caller.key()), ..Question::about(secret.expose()) };
        let identified = self.verifier.identify(&question, reach).await.map_err(status::from_verify)?;
        Ok((identified.found.into_iter().map(|found| found.key.id).collect(), identified.untold))
    }

    /// The same of the one key that stands in `text`, with whatever is around it. The whole of it counts first: secrets that
    /// were imported may look like anything.
    async fn ids_in(
        &self,
        text: &Secret,
        caller: &Caller,
        reach: &Reach,
    ) -> Result<(Vec<KeyId>, Option<VerifyError>), Status> {
        let whole = self.ids_of(text, caller, reach).await?;
        if !whole.0.is_empty() || whole.1.is_some() || Token::parse(text.expose()).is_ok() {
            return Ok(whole);
        }
        if text.expose().len() > pasted::TEXT_LEN_MAX {
            return Err(bad_secret(&format!("must have at most {} bytes", pasted::TEXT_LEN_MAX)));
        }
        match pasted::find(text.expose()) {
            Pasted::Key(secret) => self.ids_of(&secret, caller, reach).await,
            Pasted::Several(count) => {
                Err(bad_secret(&format!("must hold one key; holds {count}: send each by itself")))
            }
            Pasted::Broken(count) => Err(status::secret_not_found(&format!(
                "no such key: the text has {count} of the form of a key, and a wrong checksum in each: send the whole key"
            ))),
            Pasted::Nothing => Err(status::secret_not_found(
                "no such key: no imported secret is this text, and nothing in it has the form of a key, \
                 <prefix>_<54 letters and digits>",
            )),
        }
    }
}

/// Says what is wrong with the text that should hold a secret, and nothing of what it holds.
fn bad_secret(description: &str) -> Status {
    let mut bad = Violations::default();
    bad.add("secret", description);
    bad.check().map_err(status::from_manage).expect_err("one is bad")
}

fn key_not_found() -> Status {
    status::from_manage(manage::Error::Refused(Refusal::KeyNotFound))
}

fn or_default(keyspace: &str) -> &str {
    if keyspace.is_empty() { DEFAULT } else { keyspace }
}

//! VerifyRequest and those that hold one, read where they lie.

use std::net::IpAddr;

use smallvec::SmallVec;
use tonic::Status;

use super::batch::BATCH_MAX;
use super::place::Place;
use super::wire::{Malformed, Value, read_fields, text};
use super::{check_demand, check_spending};
use crate::grpc::caller::Caller;
use crate::grpc::status;
use crate::key::network;
use crate::key::permission::Reach;
use crate::key::scope::{Demand, SCOPES_MAX};
use crate::manage::Violations;
use crate::verify::Question;

/// A VerifyRequest.
pub struct Asked<'a> {
    key: &'a str,
    required_scopes: SmallVec<[&'a str; 8]>,
    any_of_scopes: SmallVec<[&'a str; 4]>,
    keyspace: &'a str,
    client_ip: &'a str,
    client: Option<IpAddr>,
    cost: Option<i64>,
}

impl<'a> Asked<'a> {
    /// Reads a VerifyRequest. Of a field that is there twice, the last counts, as everywhere in protobuf.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut asked = Self::empty();
        asked.merge(message)?;
        Ok(asked)
    }

    fn empty() -> Self {
        Self {
            key: "",
            required_scopes: SmallVec::new(),
            any_of_scopes: SmallVec::new(),
            keyspace: "",
            client_ip: "",
            client: None,
            cost: None,
        }
    }

    fn merge(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        read_fields(message, |number, value| {
            match (number, value) {
                (1, Value::Bytes(value)) => self.key = text(value)?,
                (2, Value::Bytes(value)) => keep(&mut self.required_scopes, text(value)?),
                (3, Value::Bytes(value)) => keep(&mut self.any_of_scopes, text(value)?),
                (4, Value::Bytes(value)) => self.keyspace = text(value)?,
                (5, Value::Bytes(value)) => {
                    self.client_ip = text(value)?;
                    self.client = network::address(self.client_ip).ok();
                }
                (6, Value::Number(value)) => self.cost = Some(value.cast_signed()),
                _ => {}
            }
            Ok(())
        })
    }

    /// Where `caller` may look for the key, once the request is known to make sense.
    ///
    /// # Errors
    /// PERMISSION_DENIED before INVALID_ARGUMENT.
    pub fn allowed<'c>(&self, caller: &'c Caller, at: Place) -> Result<&'c Reach, Status> {
        let reach = self.reach(caller)?;
        let mut bad = Violations::default();
        self.check(at, &mut bad);
        bad.check().map_err(status::from_manage)?;
        Ok(reach)
    }

    /// Where `caller` may look for the key.
    ///
    /// # Errors
    /// PERMISSION_DENIED: nowhere.
    pub fn reach<'c>(&self, caller: &'c Caller) -> Result<&'c Reach, Status> {
        caller.verification_reach(self.keyspace)
    }

    /// Notes what makes no sense.
    pub fn check(&self, at: Place, bad: &mut Violations) {
        check_demand(self.demand(), self.keyspace, at, bad);
        check_spending(self.client_ip, self.cost, at, bad);
    }

    /// What `caller` asks.
    pub fn question<'q>(&'q self, caller: &'q Caller) -> Question<'q> {
        Question {
            keyspace: self.keyspace,
            demand: self.demand(),
            client: self.client,
            cost: self.cost.unwrap_or(1),
            caller: Some(caller.key()),
            ..Question::about(self.key)
        }
    }

    fn demand(&self) -> Demand<'_> {
        Demand { all_of: &self.required_scopes, any_of: &self.any_of_scopes }
    }
}

/// Keeps one scope more than there may be: an empty one takes two bytes of a message, and sixteen of memory.
fn keep<'a, const N: usize>(scopes: &mut SmallVec<[&'a str; N]>, scope: &'a str) {
    if scopes.len() <= SCOPES_MAX {
        scopes.push(scope);
    }
}

/// Reads a BatchVerifyRequest: how many requests it has, and the first [`BATCH_MAX`] of them, as they lie there.
pub fn read_batch(message: &[u8]) -> Result<(usize, Vec<&[u8]>), Malformed> {
    let (mut count, mut requests) = (0, Vec::new());
    read_fields(message, |number, value| {
        if let (1, Value::Bytes(value)) = (number, value) {
            count += 1;
            if count <= BATCH_MAX {
                requests.push(value);
            }
        }
        Ok(())
    })?;
    Ok((count, requests))
}

/// Reads a VerifyStreamRequest: its correlation id and its request.
pub fn read_streamed(message: &[u8]) -> Result<(&str, Asked<'_>), Malformed> {
    let (mut correlation_id, mut asked) = ("", Asked::empty());
    read_fields(message, |number, value| {
        match (number, value) {
            (1, Value::Bytes(value)) => correlation_id = text(value)?,
            // A message that is there twice is merged.
            (2, Value::Bytes(value)) => asked.merge(value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((correlation_id, asked))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::grpc::pb;

    /// What was read, as the generated code has it.
    fn owned(asked: &Asked<'_>) -> pb::VerifyRequest {
        let texts = |of: &[&str]| of.iter().map(ToString::to_string).collect();
        pb::VerifyRequest {
            key: asked.key.to_owned(),
            required_scopes: texts(&asked.required_scopes),
            any_of_scopes: texts(&asked.any_of_scopes),
            keyspace: asked.keyspace.to_owned(),
            client_ip: asked.client_ip.to_owned(),
            cost: asked.cost,
        }
    }

    fn requests() -> impl Strategy<Value = pb::VerifyRequest> {
        let scopes = || vec("[a-z:]{0,20}", 0..20);
        (".{0,80}", scopes(), scopes(), "[a-z]{0,9}", "[0-9.:a-f]{0,20}", any::<Option<i64>>()).prop_map(
            |(key, required_scopes, any_of_scopes, keyspace, client_ip, cost)| pb::VerifyRequest {
                key,
                required_scopes,
                any_of_scopes,
                keyspace,
                client_ip,
                cost,
            },
        )
    }

    proptest! {
        #[test]
        fn reads_what_generated_code_writes(asked in requests()) {
            let message = asked.encode_to_vec();
            let read = Asked::read(&message).map(|read| owned(&read));
            prop_assert!(read == Ok(asked));
        }

        #[test]
        fn reads_a_stream_message(id in ".{0,40}", asked in requests()) {
            let message = pb::VerifyStreamRequest { correlation_id: id.clone(), request: Some(asked.clone()) };
            let message = message.encode_to_vec();
            let (read_id, read) = read_streamed(&message).map_err(|_| TestCaseError::fail("malformed"))?;
            prop_assert!(read_id == id && owned(&read) == asked);
        }

        #[test]
        fn reads_a_batch(requests in vec(requests(), 0..5)) {
            let message = pb::BatchVerifyRequest { requests: requests.clone() }.encode_to_vec();
            let read: Result<Vec<_>, _> =
                read_batch(&message).and_then(|(_, all)| all.into_iter().map(|one| Asked::read(one).map(|r| owned(&r))).collect());
            prop_assert!(read == Ok(requests));
        }

        #[test]
        fn what_is_refused_for_its_number_is_not_kept(number in SCOPES_MAX + 1..10_000) {
            let scopes = vec![String::new(); number];
            let message = pb::VerifyRequest { required_scopes: scopes.clone(), any_of_scopes: scopes, ..Default::default() };
            let message = message.encode_to_vec();
            let asked = Asked::read(&message).map_err(|_| TestCaseError::fail("malformed"))?;
            prop_assert_eq!((asked.required_scopes.len(), asked.any_of_scopes.len()), (SCOPES_MAX + 1, SCOPES_MAX + 1));
            let batch = pb::BatchVerifyRequest { requests: vec![pb::VerifyRequest::default(); BATCH_MAX + number] };
            let batch = batch.encode_to_vec();
            let (count, kept) = read_batch(&batch).map_err(|_| TestCaseError::fail("malformed"))?;
            prop_assert_eq!((count, kept.len()), (BATCH_MAX + number, BATCH_MAX));
        }

        #[test]
        fn noise_is_read_or_refused_as_generated_code_does(noise in vec(any::<u8>(), 0..64)) {
            let generated = pb::VerifyRequest::decode(noise.as_slice());
            match Asked::read(&noise) {
                Ok(read) => {
                    // Generated code refuses a known field of another type, where the specification passes it over.
                    if let Ok(generated) = generated {
                        prop_assert!(owned(&read) == generated);
                    }
                }
                Err(Malformed) => prop_assert!(generated.is_err()),
            }
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        // Fields 15 of every wire type, groups too, before and behind a key.
        let mut message = vec![0x78, 0x01, 0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7a, 2, b'x', b'y', 0x7d, 0, 0, 0, 0];
        message.extend_from_slice(&[0x7b, 0x08, 0x01, 0x7c, 0x0a, 3, b'k', b'e', b'y']);
        let again = message.clone();
        message.extend_from_slice(&again);
        assert!(Asked::read(&message).is_ok_and(|asked| asked.key == "key"));
        for broken in [&[0x0a, 5, b'k'][..], &[0x0a], &[0x0a, 1, 0xff], &[0x7b, 0x08], &[0xff; 11], &[0x07]] {
            assert!(Asked::read(broken).is_err(), "{broken:?}");
        }
    }
}

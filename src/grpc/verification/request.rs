//! VerifyRequest and those that hold one, read where they lie.

use smallvec::SmallVec;
use tonic::Status;

use super::check_demand;
use super::place::Place;
use super::wire::{Malformed, read_fields, text};
use crate::grpc::caller::Caller;
use crate::grpc::status;
use crate::key::permission::Reach;
use crate::key::scope::Demand;
use crate::manage::Violations;
use crate::verify::Question;

/// A VerifyRequest.
#[derive(Default)]
pub struct Asked<'a> {
    key: &'a str,
    required_scopes: SmallVec<[&'a str; 8]>,
    any_of_scopes: SmallVec<[&'a str; 4]>,
    keyspace: &'a str,
}

impl<'a> Asked<'a> {
    /// Reads a VerifyRequest. Of a field that is there twice, the last counts, as everywhere in protobuf.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut asked = Self::default();
        asked.merge(message)?;
        Ok(asked)
    }

    fn merge(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        read_fields(message, |number, value| {
            match number {
                1 => self.key = text(value)?,
                2 => self.required_scopes.push(text(value)?),
                3 => self.any_of_scopes.push(text(value)?),
                4 => self.keyspace = text(value)?,
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
    }

    /// What is asked.
    pub fn question(&self) -> Question<'_> {
        Question { key: self.key, keyspace: self.keyspace, demand: self.demand(), guesser: "" }
    }

    fn demand(&self) -> Demand<'_> {
        Demand { all_of: &self.required_scopes, any_of: &self.any_of_scopes }
    }
}

/// Reads a BatchVerifyRequest: its requests, as they lie there.
pub fn read_batch(message: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut requests = Vec::new();
    read_fields(message, |number, value| {
        if number == 1 {
            requests.push(value);
        }
        Ok(())
    })?;
    Ok(requests)
}

/// Reads a VerifyStreamRequest: its correlation id and its request.
pub fn read_streamed(message: &[u8]) -> Result<(&str, Asked<'_>), Malformed> {
    let (mut correlation_id, mut asked) = ("", Asked::default());
    read_fields(message, |number, value| {
        match number {
            1 => correlation_id = text(value)?,
            // A message that is there twice is merged.
            2 => asked.merge(value)?,
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
        }
    }

    fn requests() -> impl Strategy<Value = pb::VerifyRequest> {
        (".{0,80}", vec("[a-z:]{0,20}", 0..20), vec("[a-z:]{0,20}", 0..20), "[a-z]{0,9}").prop_map(
            |(key, required_scopes, any_of_scopes, keyspace)| pb::VerifyRequest {
                key,
                required_scopes,
                any_of_scopes,
                keyspace,
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
                read_batch(&message).and_then(|all| all.into_iter().map(|one| Asked::read(one).map(|r| owned(&r))).collect());
            prop_assert!(read == Ok(requests));
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

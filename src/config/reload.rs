//! Settings that a running server reads again when it gets SIGHUP: what to log.

use std::path::PathBuf;

use super::{File, Flags, LOG_DEFAULT};
use crate::telemetry;

/// Where the log filter comes from.
#[derive(Debug)]
pub struct LogSource {
    file: Option<PathBuf>,
    /// A flag or a variable says it. Neither changes while the process runs.
    is_fixed: bool,
}

impl Flags {
    /// Where the log filter comes from.
    pub fn log_source(&self) -> LogSource {
        LogSource { file: self.config.clone(), is_fixed: self.log.is_some() }
    }
}

impl LogSource {
    /// The log filter as the file with settings says it now.
    ///
    /// # Errors
    /// Why it cannot be read again, and what to do about it.
    pub fn read(&self) -> Result<String, String> {
        if self.is_fixed {
            return Err("--log or PORTCULLIS_LOG sets it, and neither changes while the process runs: \
                        set `log` in the file of --config instead"
                .to_owned());
        }
        let Some(path) = &self.file else {
            return Err("there is no file with settings: start with --config FILE, and set `log` there".to_owned());
        };
        let mut errors = Vec::new();
        let mut file = File::read(path, &mut errors);
        if !errors.is_empty() {
            return Err(errors.join("; "));
        }
        let text = file.0.remove("log").unwrap_or_else(|| LOG_DEFAULT.to_owned());
        match telemetry::filter(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(format!("log: must be {}; is {text:?}", telemetry::FILTER_RULE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_filter_is_read_again_only_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("portcullis.toml");
        let source = |is_fixed| LogSource { file: Some(path.clone()), is_fixed };
        assert!(source(false).read().unwrap_err().contains("cannot read"));
        for (text, read) in [
            ("", Ok("info")),
            ("log = \"debug\"", Ok("debug")),
            ("log = \"a=b=c\"", Err("log: must be")),
            ("x", Err("TOML")),
        ] {
            std::fs::write(&path, text).unwrap();
            match (source(false).read(), read) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted),
                (Err(found), Err(wanted)) => assert!(found.contains(wanted), "{found}"),
                other => panic!("{other:?}"),
            }
            assert!(source(true).read().unwrap_err().contains("PORTCULLIS_LOG"));
        }
        assert!(LogSource { file: None, is_fixed: false }.read().unwrap_err().contains("--config"));
    }
}

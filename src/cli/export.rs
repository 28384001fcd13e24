//! `scim export`: the directory of a tenant, written to a file that is whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::operator::Operator;
use super::progress::Progress;
use super::serve::end_signal;
use super::tenant_arg::tenant_id;
use super::terminal::print;
use crate::admin::data::ExportData;
use crate::identity::TenantId;

#[derive(Debug, Args)]
#[command(
    after_help = "The file has one JSON object in each line. It appears when it is complete, and only its owner may read \
                  it.\n\nExamples:\n  \
                  scim export acme acme.ndjson\n  \
                  scim export acme | gzip > acme.ndjson.gz"
)]
pub(super) struct ExportArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The file to write; - is stdout
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Also write the hashes of passwords, with which someone could guess them
    #[arg(long)]
    with_secrets: bool,
    /// Also write the credentials, without what clients present, to bring them back into a tenant of the same name in the
    /// same stack
    #[arg(long)]
    with_credentials: bool,
    /// Print the numbers as JSON when the file is written
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// What an export has written.
struct Exported {
    resources: u64,
    memberships: u64,
    credentials: u64,
    /// The end of the tenant's feed before the first resource was read.
    position: Value,
}

impl ExportArgs {
    /// Writes the file and says what it has.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        if self.json && is_stdio(&self.file) {
            return Err(CommandError::usage(
                "--json needs a FILE: the export itself goes to stdout",
            ));
        }
        let operator = Operator::open(&self.deployment).await?;
        let exported = if is_stdio(&self.file) {
            let mut out = io::stdout().lock();
            let exported = self.write(&operator, &mut out).await?;
            out.flush().map_err(|error| unwritten(&self.file, &error))?;
            exported
        } else {
            let mut file = WholeFile::create(&self.file)?;
            // A file that was given up is removed, also when the command is interrupted.
            let exported = tokio::select! {
                exported = self.write(&operator, &mut file.out) => exported?,
                () = end_signal() => return Err(CommandError::new("The export was interrupted")),
            };
            file.finish()?;
            exported
        };
        self.tell(&exported)
    }

    async fn write(
        &self,
        operator: &Operator,
        out: &mut impl Write,
    ) -> Result<Exported, CommandError> {
        let mut part = ExportData {
            tenant: self.tenant.clone(),
            with_secrets: self.with_secrets,
            with_credentials: self.with_credentials,
            cursor: None,
        };
        let (mut position, mut written) = (Value::Null, 0);
        let mut progress: Option<Progress> = None;
        loop {
            let answer = operator.ask(&part).await?;
            if part.cursor.is_none() {
                let head = head_of(&answer.text);
                position = head["position"].clone();
                progress = Some(Progress::of("resources", resources_in(&head)));
            }
            out.write_all(answer.text.as_bytes())
                .map_err(|error| unwritten(&self.file, &error))?;
            if let Some(progress) = &progress {
                progress.advance(answer.resources - written);
            }
            written = answer.resources;
            part.cursor = answer.cursor;
            if part.cursor.is_none() {
                return Ok(Exported {
                    resources: answer.resources,
                    memberships: answer.memberships,
                    credentials: answer.credentials,
                    position,
                });
            }
        }
    }

    fn tell(&self, exported: &Exported) -> Result<(), CommandError> {
        let Exported {
            resources,
            memberships,
            credentials,
            position,
        } = exported;
        if self.json {
            let json = json!({
                "resources": resources, "memberships": memberships, "credentials": credentials,
                "position": position,
            });
            return print(&format!("{json}\n"));
        }
        let place = match is_stdio(&self.file) {
            true => "stdout".to_owned(),
            false => self.file.display().to_string(),
        };
        let credentials = match credentials {
            0 => String::new(),
            1 => ", with 1 credential,".to_owned(),
            number => format!(", with {number} credentials,"),
        };
        eprintln!(
            "Exported {resources} resources and {memberships} memberships{credentials} of {} to {place}",
            self.tenant
        );
        Ok(())
    }
}

/// The head of an export, from the text that begins with it.
fn head_of(text: &str) -> Value {
    let line = text.lines().next().unwrap_or_default();
    let mut line: Value = serde_json::from_str(line).unwrap_or_default();
    line["head"].take()
}

/// The number of resources that a head says there are.
fn resources_in(head: &Value) -> u64 {
    let counts = head["counts"].as_object().into_iter().flatten();
    let counts = counts.filter_map(|(_, count)| count.as_u64());
    counts.fold(0, u64::saturating_add)
}

/// Whether a file is stdin or stdout.
pub(super) fn is_stdio(file: &Path) -> bool {
    file == Path::new("-")
}

fn unwritten(file: &Path, error: &io::Error) -> CommandError {
    CommandError::new(format!("{} could not be written: {error}", file.display()))
}

/// A file that gets its name when it is complete. Until then it has another one beside it, and it is removed when this
/// is dropped.
struct WholeFile {
    out: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
    is_complete: bool,
}

impl WholeFile {
    fn create(path: &Path) -> Result<Self, CommandError> {
        let name = path.file_name().ok_or_else(|| {
            CommandError::usage(format!("{} is no name of a file", path.display()))
        })?;
        let part = path.with_file_name(format!(
            ".{}.{}.part",
            name.to_string_lossy(),
            std::process::id()
        ));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&part)
            .map_err(|error| unwritten(path, &error))?;
        Ok(Self {
            out: BufWriter::new(file),
            part,
            path: path.to_owned(),
            is_complete: false,
        })
    }

    /// Gives the file its name, once all of it is on the disk.
    fn finish(mut self) -> Result<(), CommandError> {
        let named = self
            .out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.part, &self.path));
        named.map_err(|error| unwritten(&self.path, &error))?;
        self.is_complete = true;
        Ok(())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.is_complete {
            // Without it there is nothing to clean up but a file that has no end line.
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_given_up_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.ndjson");
        fs::write(&path, "before").unwrap();
        let names = || -> Vec<_> {
            let entries = fs::read_dir(directory.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect()
        };
        let mut file = WholeFile::create(&path).unwrap();
        file.out.write_all(b"half").unwrap();
        assert_eq!(names().len(), 2);
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        let mut file = WholeFile::create(&path).unwrap();
        file.out.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(names(), ["acme.ndjson"]);
    }
}

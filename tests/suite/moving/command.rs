//! `scim export` and `scim import`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::cli::{answer, failure, misuse, run, scim};

/// A directory with local data: a tenant `acme` of a few users, and an empty one.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = at(folder.path(), "data");
    let generate = [
        "generate",
        "--data",
        &data,
        "--users",
        "20",
        "--group-members",
        "20",
        "--tenant",
        "acme",
    ];
    answer(&generate);
    answer(&["tenant", "create", "moved", "--data", &data]);
    folder
}

fn at(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The lines of a failed command's stderr without that about the deployment.
fn said(output: &Output) -> Vec<String> {
    let lines = text(&output.stderr);
    let lines = lines
        .lines()
        .filter(|line| !line.starts_with("Deployment: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_directory_goes_through_a_file_and_through_pipes() {
    let folder = data();
    let (data, file) = (at(folder.path(), "data"), at(folder.path(), "acme.ndjson"));
    let exported = answer(&["export", "acme", &file, "--data", &data, "--json"]);
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(
        (&exported["resources"], &exported["memberships"]),
        (&21.into(), &20.into())
    );
    assert!(exported["position"].is_string());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let piped = answer(&["export", "acme", "--data", &data]);
    let body = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(body(&piped), body(&fs::read_to_string(&file).unwrap()));
    let tried = answer(&["import", "moved", &file, "--data", &data, "--dry-run"]);
    assert_eq!(
        tried,
        "Would import into moved: 21 created, 20 memberships added\n"
    );
    let imported = answer(&["import", "moved", &file, "--data", &data]);
    let expected = "Imported into moved: 21 created, 20 memberships added\n\
                    Compared: index entries and counters fit 21 resources\n";
    assert_eq!(imported, expected);
    let mut again = scim(&["import", "moved", "-", "--data", &data, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    again
        .stdin
        .take()
        .unwrap()
        .write_all(piped.as_bytes())
        .unwrap();
    let again = again.wait_with_output().unwrap();
    assert!(again.status.success(), "{:?}", said(&again));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        (&again["counts"]["same"], &again["counts"]["membersSame"]),
        (&21.into(), &20.into())
    );
    assert_eq!(again["comparison"]["well"], true);
}

#[test]
fn a_file_with_a_fault_is_not_taken_and_its_line_is_named() {
    let folder = data();
    let (data, file) = (at(folder.path(), "data"), at(folder.path(), "acme.ndjson"));
    answer(&["export", "acme", &file, "--data", &data]);
    let whole = fs::read_to_string(&file).unwrap();
    // The end is missing.
    let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(&file, cut).unwrap();
    let refused = failure(&["import", "moved", &file, "--data", &data]);
    assert!(refused.contains("is no complete export"), "{refused}");
    fs::write(&file, whole.replace(r#""userName":""#, r#""userNam":""#)).unwrap();
    let output = run(&["import", "moved", &file, "--data", &data]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said[0].starts_with("line 3: The body has `userNam`"),
        "{said:?}"
    );
    assert_eq!(
        said.last().unwrap(),
        "scim: 20 lines could not be taken; nothing was written"
    );
    let tried = answer(&["export", "moved", "--data", &data]);
    assert_eq!(tried.lines().count(), 2, "{tried}");
    let unknown = failure(&["import", "nobody", &file, "--data", &data]);
    assert!(unknown.contains("There is no tenant nobody"), "{unknown}");
    let missing = failure(&[
        "import",
        "moved",
        &at(folder.path(), "missing"),
        "--data",
        &data,
    ]);
    assert!(missing.contains("could not be read"), "{missing}");
    let unwritten = failure(&[
        "export",
        "acme",
        &at(folder.path(), "no/such/file"),
        "--data",
        &data,
    ]);
    assert!(unwritten.contains("could not be written"), "{unwritten}");
}

#[test]
fn what_a_file_does_not_have_is_removed_only_after_a_confirmation() {
    let folder = data();
    let (data, file) = (at(folder.path(), "data"), at(folder.path(), "moved.ndjson"));
    answer(&["export", "moved", &file, "--data", &data]);
    let import = [
        "import",
        "acme",
        &file,
        "--data",
        &data,
        "--if-exists",
        "replace",
    ];
    let refused = misuse(&import);
    assert!(
        refused.contains("21 resources and 20 memberships of acme are not in the file")
            && refused.contains("--yes"),
        "{refused}"
    );
    let tried = answer(&[&import[..], &["--dry-run"]].concat());
    assert_eq!(
        tried,
        "Would import into acme: 21 removed, 20 memberships removed\n"
    );
    let imported = answer(&[&import[..], &["--yes"]].concat());
    assert!(
        imported.starts_with("Imported into acme: 21 removed\n"),
        "{imported}"
    );
    let emptied = answer(&["export", "acme", "--data", &data]);
    assert_eq!(emptied.lines().count(), 2);
    let misuse = run(&["import", "acme", "--data", &data, "--if-exists", "replace"]);
    assert_eq!(misuse.status.code(), Some(2));
    let misuse = run(&["export", "acme", "--data", &data, "--json"]);
    assert_eq!(misuse.status.code(), Some(2));
}

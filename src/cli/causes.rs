//! What people read of a failed call to AWS.
//!
//! The SDK's errors are chains of texts such as `dispatch failure: other: …`. Here each cause that a person can do
//! something about becomes a sentence that says what.

/// The text of a failure: its detail, and what was behind it in words.
///
/// `causes` are the messages of the chain of causes, as [`Error::causes`](crate::protocol::Error::causes) joins
/// them.
pub(super) fn in_words(detail: &str, causes: &str) -> String {
    if causes.is_empty() {
        return detail.to_owned();
    }
    match known(causes) {
        Some(words) => words,
        None => format!("{detail}: {}", plain(causes)),
    }
}

/// A cause that has a sentence of its own.
fn known(causes: &str) -> Option<String> {
    let has = |needles: &[&str]| needles.iter().any(|needle| causes.contains(needle));
    if let Some(denied) = denied(causes) {
        return Some(denied);
    }
    let text = if has(&["SSO", "sso", "Sso"])
        && has(&["expired", "not found", "invalid", "token", "login"])
    {
        "The AWS login has expired, or there was none: run `aws sso login`, with --profile NAME for a named profile"
    } else if has(&[
        "ExpiredToken",
        "RequestExpired",
        "token included in the request is expired",
    ]) {
        "The AWS credentials have expired: log in again, with `aws sso login` or as your company does it"
    } else if has(&[
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
    ]) {
        return Some(format!(
            "AWS does not know these credentials ({}): check the profile (--aws-profile, AWS_PROFILE) and the keys in \
             the environment",
            plain(causes)
        ));
    } else if has(&[
        "no providers in chain provided credentials",
        "CredentialsNotLoaded",
    ]) {
        "No AWS credentials: run `aws sso login`, or set AWS_PROFILE or --aws-profile"
    } else if has(&["could not find profile", "profile `", "ProfileFile"]) {
        return Some(format!(
            "The AWS profile cannot be used: {}; --aws-profile or AWS_PROFILE names another",
            last(causes)
        ));
    } else if has(&[
        "loading credentials",
        "credentials provider",
        "CredentialsError",
    ]) {
        return Some(format!(
            "The AWS credentials cannot be loaded: {}",
            last(causes)
        ));
    } else if has(&["Missing Region", "MissingRegion", "A region must be set"]) {
        NO_REGION
    } else if has(&[
        "Requested resource not found",
        "ResourceNotFoundException: Cannot do operations",
    ]) {
        "There is no table of this name in this region: check --stack, --table and --region"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// What people read where no region is known.
pub(super) const NO_REGION: &str =
    "No AWS region: set --region or AWS_REGION, or a region in the AWS profile";

/// Access that AWS denies: `User: ARN is not authorized to perform: ACTION on resource: ARN because …`.
fn denied(causes: &str) -> Option<String> {
    let (before, after) = causes.split_once(" is not authorized to perform: ")?;
    let word = |text: &str| {
        let is_end = |c: char| c.is_whitespace() || "\"\\,".contains(c);
        text.split(is_end)
            .next()
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_owned()
    };
    let action = word(after);
    let who = before.rsplit(' ').next().unwrap_or_default();
    let on = match after.split_once(" on resource: ") {
        Some((_, resource)) => format!(" on {}", word(resource)),
        None => String::new(),
    };
    Some(format!(
        "AWS denies {action}{on} to {who}: it needs the permission {action}, and `docs/operate.md` has the whole \
         policy"
    ))
}

/// The chain without the Debug forms and the levels that say nothing: of an answer of AWS its code and its message.
fn plain(causes: &str) -> String {
    if let Some((_, metadata)) = causes.rsplit_once("Error { ") {
        let code = quoted(metadata, "code: ");
        let message = quoted(metadata, "message: ");
        let known: Vec<String> = [code, message].into_iter().flatten().collect();
        if !known.is_empty() {
            return known.join(": ");
        }
    }
    let says_nothing = |level: &&str| {
        [
            "dispatch failure",
            "service error",
            "io error",
            "other",
            "client error (Connect)",
        ]
        .contains(level)
    };
    let mut levels: Vec<&str> = Vec::new();
    for level in causes.split(": ").filter(|level| !says_nothing(level)) {
        if levels.last() != Some(&level) {
            levels.push(level);
        }
    }
    levels.join(": ")
}

/// The text in quotes behind a name in a Debug form.
fn quoted(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(name)?;
    let mut rest = rest.strip_prefix('"')?.chars();
    let mut found = String::new();
    loop {
        match rest.next()? {
            '\\' => found.push(rest.next()?),
            '"' => return Some(found),
            c => found.push(c),
        }
    }
}

/// The innermost message of a chain.
fn last(causes: &str) -> &str {
    causes.rsplit(": ").next().unwrap_or(causes)
}

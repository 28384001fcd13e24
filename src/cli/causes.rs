//! What people read of a failed call to AWS.
//!
//! The SDK's errors are chains of texts such as `dispatch failure: other: …`. Here each cause that a person can do
//! something about becomes a sentence that says what.

/// What people read where no region is known.
pub(super) const NO_REGION: &str =
    "No AWS region: set --region or AWS_REGION, or a region in the AWS profile";

/// What the SDK says about a call to which no answer came.
const TIMED_OUT: &str = "request has timed out";

/// Beginnings of what the SDK says when it has no credentials to sign a call with.
const CREDENTIALS: [&str; 2] = [
    "an error occurred while loading credentials",
    "the credential provider was not enabled",
];

/// What a person can do about missing credentials, by what the SDK says about them. The first that fits decides.
const LOGINS: [(&[&str], &str); 3] = [
    (
        &["/sso/cache/", "SSO token", "SSO session"],
        "The AWS login has expired, or there was none: run `aws sso login`, with --profile NAME for a named profile",
    ),
    (
        &["/login/cache/", "Login token"],
        "The AWS login has expired, or there was none: run `aws login`, with --profile NAME for a named profile",
    ),
    (
        &["no credentials found in chain", "IMDS"],
        "No AWS credentials: run `aws sso login`, or set AWS_PROFILE or --aws-profile",
    ),
];

/// The same for calls that AWS has refused, by the code of the refusal.
const REFUSALS: [(&[&str], &str); 2] = [
    (
        &["ExpiredToken", "RequestExpired"],
        "The AWS credentials have expired: log in again, with `aws sso login` or as your company does it",
    ),
    (
        &["Requested resource not found"],
        "There is no table of this name in this region: check --stack, --table and --region",
    ),
];

/// The text of a failure: its detail, and what was behind it in words.
///
/// `causes` are the messages of the chain of causes, as [`Error::causes`](crate::protocol::Error::causes) joins
/// them.
pub(super) fn in_words(detail: &str, causes: &str) -> String {
    if causes.is_empty() {
        return detail.to_owned();
    }
    if causes.contains(TIMED_OUT) {
        return format!(
            "{detail}: no answer came in time; check the endpoint, the region and the network"
        );
    }
    let known = denied(causes).or_else(|| of_credentials(causes));
    let known = known.or_else(|| of_refusal(causes));
    known.unwrap_or_else(|| format!("{detail}: {}", plain(causes)))
}

/// Access that AWS denies: `User: ARN is not authorized to perform: ACTION on resource: ARN because …`.
fn denied(causes: &str) -> Option<String> {
    let (before, after) = causes.split_once(" is not authorized to perform: ")?;
    let word = |text: &str| {
        let is_end = |c: char| c.is_whitespace() || "\"\\,".contains(c);
        let word = text.split(is_end).next().unwrap_or_default();
        word.trim_end_matches('.').to_owned()
    };
    let action = word(after);
    let who = before.rsplit(' ').next().unwrap_or_default();
    let on = match after.split_once(" on resource: ") {
        Some((_, resource)) => format!(" on {}", word(resource)),
        None => String::new(),
    };
    Some(format!(
        "AWS denies {action}{on} to {who}; docs/operate.md has the permissions that commands need"
    ))
}

fn of_credentials(causes: &str) -> Option<String> {
    if !CREDENTIALS.iter().any(|text| causes.contains(text)) {
        return None;
    }
    let known = no_profile(causes).or_else(|| sentence(&LOGINS, causes));
    known.or_else(|| {
        Some(format!(
            "The AWS credentials cannot be loaded: {}",
            plain(causes)
        ))
    })
}

/// The sentence for a profile that the AWS settings do not have.
pub(super) fn no_profile(causes: &str) -> Option<String> {
    let profile = between(causes, "profile `", "` was not defined")?;
    Some(format!(
        "There is no AWS profile {profile}: set AWS_PROFILE or --aws-profile to another"
    ))
}

fn of_refusal(causes: &str) -> Option<String> {
    let of_key = [
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
    ];
    if of_key.iter().any(|code| causes.contains(code)) {
        let said = plain(causes);
        return Some(format!(
            "AWS does not know these credentials ({said}): check the profile (--aws-profile, AWS_PROFILE) and the \
             keys in the environment"
        ));
    }
    sentence(&REFUSALS, causes)
}

fn sentence(table: &[(&[&str], &str)], causes: &str) -> Option<String> {
    let fits = |needles: &[&str]| needles.iter().any(|needle| causes.contains(needle));
    let found = table.iter().find(|(needles, _)| fits(needles));
    found.map(|(_, sentence)| (*sentence).to_owned())
}

/// The chain without the levels that say nothing, and without Debug forms: of an answer of AWS its code and its
/// message.
fn plain(causes: &str) -> String {
    if let Some((_, metadata)) = causes.rsplit_once("Error { ") {
        let parts = [quoted(metadata, "code: "), quoted(metadata, "message: ")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            return parts.join(": ");
        }
    }
    let mut levels: Vec<&str> = Vec::new();
    for level in causes.split(": ").map(str::trim) {
        let says_nothing = [
            "",
            "dispatch failure",
            "service error",
            "io error",
            "other",
            "client error (Connect)",
            "unexpected credentials error",
            "Stderr",
        ];
        let is_said = CREDENTIALS.contains(&level) || levels.last() == Some(&level);
        if !is_said && !says_nothing.contains(&level) {
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

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the SDK has really said, and the words that a person needs.
    fn failed_logins() -> [(String, &'static str); 8] {
        let dispatch = "dispatch failure: other: ";
        let loading = "an error occurred while loading credentials: ";
        let disabled = "the credential provider was not enabled: ";
        [
            (
                format!(
                    "{dispatch}{loading}{loading}an error occurred while loading an access token: failed to load the \
                     cached SSO token"
                ),
                "run `aws sso login`",
            ),
            (
                format!(
                    "{dispatch}{loading}{loading}failed to read `/home/ada/.aws/sso/cache/a5.json`: No such file or \
                     directory (os error 2)"
                ),
                "run `aws sso login`",
            ),
            (
                format!("{dispatch}{loading}the SSO token has expired and cannot be refreshed"),
                "run `aws sso login`",
            ),
            (
                format!(
                    "{dispatch}{loading}unexpected credentials error: failed to read \
                     `/home/ada/.aws/login/cache/8a.json`: No such file or directory (os error 2)"
                ),
                "run `aws login`",
            ),
            (
                format!(
                    "{dispatch}{disabled}no credentials found in chain. Attempted:\n  Environment: {disabled}environment \
                     variable not set\n  Profile: {disabled}\n"
                ),
                "No AWS credentials: run `aws sso login`, or set AWS_PROFILE",
            ),
            (
                format!(
                    "{dispatch}{loading}failed to load IMDS session token: service error: request forbidden: IMDS is \
                     disabled or the caller has insufficient permissions."
                ),
                "No AWS credentials",
            ),
            (
                format!(
                    "{dispatch}{disabled}no credentials found in chain. Attempted:\n  Profile: {disabled}profile \
                     `nowhere` was not defined: could not find source profile nowhere referenced from the root profile"
                ),
                "There is no AWS profile nowhere",
            ),
            (
                format!(
                    "{dispatch}{loading}{loading}Error retrieving credentials: external process exited with code exit \
                     status: 1. Stderr: "
                ),
                "cannot be loaded: Error retrieving credentials: external process exited with code exit status: 1. \
                 Stderr",
            ),
        ]
    }

    #[test]
    fn missing_credentials_lead_to_the_login_that_helps() {
        for (causes, expected) in failed_logins() {
            let words = in_words("The stack x cannot be looked up", &causes);
            assert!(words.contains(expected), "{words}");
            assert!(!words.contains("dispatch failure"), "{words}");
        }
    }

    #[test]
    fn denied_access_names_the_action() {
        let causes = "service error: unhandled error (AccessDeniedException): Error { code: \"AccessDeniedException\", \
                      message: \"User: arn:aws:sts::1:assumed-role/Support/ada is not authorized to perform: \
                      dynamodb:Query on resource: arn:aws:dynamodb:eu-west-1:1:table/scim because no identity-based \
                      policy allows the dynamodb:Query action\", aws_request_id: \"X\" }";
        let words = in_words("The directory is out of reach", causes);
        assert_eq!(
            words,
            "AWS denies dynamodb:Query on arn:aws:dynamodb:eu-west-1:1:table/scim to \
             arn:aws:sts::1:assumed-role/Support/ada; docs/operate.md has the permissions that commands need"
        );
    }

    #[test]
    fn other_causes_are_shown_without_debug_forms() {
        let cases = [
            (
                "service error: unhandled error: unhandled error (Teapot): Error { code: \"Teapot\", message: \"it is \
                 \\\"one\\\"\", aws_request_id: \"X\" }",
                "It failed: Teapot: it is \"one\"",
            ),
            (
                "dispatch failure: io error: client error (Connect): tcp connect error: Connection refused (os error 111)",
                "It failed: tcp connect error: Connection refused (os error 111)",
            ),
            (
                "request has timed out: operation timeout (all attempts including retries) occurred after 10s",
                "It failed: no answer came in time; check the endpoint, the region and the network",
            ),
            ("", "It failed"),
            ("the disk is full", "It failed: the disk is full"),
        ];
        for (causes, expected) in cases {
            assert_eq!(in_words("It failed", causes), expected);
        }
        let expired = "service error: Error { code: \"ExpiredTokenException\", message: \"late\" }";
        assert!(in_words("It failed", expired).contains("have expired: log in again"));
    }
}

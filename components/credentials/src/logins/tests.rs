use phlare_model::TenantId;
use tempfile::TempDir;

use super::*;

/// A line of `htpasswd`; the hash of `secret` was made by `crypt(3)`.
const HTPASSWD: &str = "grafana:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const TOKEN: &str = "a token that is long enough";
/// `printf %s 'a token that is long enough' | sha256sum` wrote it.
const SHA256: &str = "b1f04507892daa251f873b7fb74e47e7ddf9b228157a48ffee5bfd5d894af379";

fn token(name: &str, rights: &[Right], tenants: Option<&[&str]>) -> TokenEntry {
    TokenEntry {
        name: name.to_owned(),
        sha256: None,
        token: Some(format!("{TOKEN}, {name}")),
        rights: rights.to_vec(),
        tenants: tenants.map(|ids| ids.iter().map(ToString::to_string).collect()),
    }
}

fn user(name: &str, bcrypt: &str) -> UserEntry {
    UserEntry {
        name: name.to_owned(),
        bcrypt: bcrypt.to_owned(),
        rights: vec![Right::Read],
        tenants: None,
    }
}

fn document() -> LoginsDocument {
    LoginsDocument {
        tokens: vec![
            token("agent", &[Right::Write], Some(&["a"])),
            token("operator", &[Right::Admin, Right::Metrics], None),
            TokenEntry {
                sha256: Some(SHA256.to_owned()),
                token: None,
                ..token("hashed", &[Right::Read], Some(&["a", "b"]))
            },
        ],
        users: vec![user("grafana", HTPASSWD)],
        certificates: vec![CertificateEntry {
            name: "processes".to_owned(),
            dns_name: "Processes.test".to_owned(),
            rights: vec![Right::Internal],
            tenants: None,
        }],
    }
}

fn logins() -> Arc<Logins> {
    Arc::new(document().logins(true).unwrap())
}

fn name(login: Option<&Arc<Login>>) -> Option<&str> {
    login.map(|login| login.name.as_str())
}

#[test]
fn tokens_and_certificates_are_known() {
    let logins = logins();
    let check = |token: &str, expected| assert_eq!(name(logins.token(token.as_bytes())), expected);
    check(&format!("{TOKEN}, agent"), Some("agent"));
    check(TOKEN, Some("hashed"));
    check(SHA256, None);
    check("", None);
    let check = |names: &[&str], expected| {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(name(logins.certificate(&names)), expected);
    };
    check(&["other.test", "processes.test"], Some("processes"));
    check(&["other.test"], None);
    check(&[], None);
}

#[test]
fn rights_are_those_of_the_file() {
    let logins = logins();
    let agent = logins.token(format!("{TOKEN}, agent").as_bytes()).unwrap();
    let all = [
        Right::Read,
        Right::Write,
        Right::Admin,
        Right::Metrics,
        Right::Internal,
    ];
    for right in all {
        assert_eq!(agent.may(right), right == Right::Write, "{right}");
        assert!(logins.anybody_may(right));
    }
    assert!(
        !LoginsDocument::default()
            .logins(true)
            .unwrap()
            .anybody_may(Right::Read)
    );
}

#[test]
fn a_login_is_for_its_tenants() {
    let logins = logins();
    let id = |id: &str| TenantId::parse(id).unwrap();
    let (a, b, c) = (id("a"), id("b"), id("c"));
    let one = logins.token(format!("{TOKEN}, agent").as_bytes()).unwrap();
    assert_eq!(one.tenant(None), Ok(Some(&a)));
    assert_eq!(one.tenant(Some(&a)), Ok(None));
    let error = one.tenant(Some(&b)).unwrap_err().to_string();
    assert_eq!(error, "login `agent` is not for tenant `b`");
    let two = logins.token(TOKEN.as_bytes()).unwrap();
    assert_eq!(two.tenant(None), Ok(None));
    assert_eq!(two.tenant(Some(&b)), Ok(None));
    two.tenant(Some(&c)).unwrap_err();
    let all = logins
        .token(format!("{TOKEN}, operator").as_bytes())
        .unwrap();
    assert_eq!(all.tenant(Some(&c)), Ok(None));
    assert_eq!(all.tenant(None), Ok(None));
}

#[test]
fn a_password_is_checked_once() {
    let logins = logins();
    let check = |user: &str, password: &str| match logins.password(user, password) {
        Password::Unknown(check) => check.run().map(|login| login.name.clone()),
        Password::Right(_) | Password::Wrong => panic!("it was not checked before"),
    };
    assert_eq!(check("grafana", "wrong"), None);
    assert_eq!(check("grafana", "secret"), Some("grafana".to_owned()));
    assert_eq!(check("nobody", "secret"), None);
    assert_eq!(check("grafana", &"s".repeat(100)), None);
    let again = logins.password("grafana", "secret");
    assert!(matches!(again, Password::Right(_)), "{again:?}");
    let again = logins.password("grafana", &"s".repeat(100));
    assert!(matches!(again, Password::Wrong), "{again:?}");
}

/// What two ask at once is checked once.
#[test]
fn a_check_that_somebody_else_has_made_is_not_made_again() {
    let logins = logins();
    let (Password::Unknown(one), Password::Unknown(other)) = (
        logins.password("grafana", "secret"),
        logins.password("grafana", "secret"),
    ) else {
        panic!("it was not checked before");
    };
    one.run().unwrap();
    other.run().unwrap();
}

#[test]
fn without_users_no_password_is_right() {
    let logins = Arc::new(LoginsDocument::default().logins(true).unwrap());
    assert!(!logins.has_users());
    assert!(matches!(logins.password("", ""), Password::Wrong));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let check = |document: LoginsDocument, several: bool, expected: &str| {
        let error = document.logins(several).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let tokens = |tokens: Vec<TokenEntry>| LoginsDocument {
        tokens,
        ..LoginsDocument::default()
    };
    let good = || token("x", &[Right::Read], None);
    let entry = |change: fn(&mut TokenEntry)| {
        let mut entry = good();
        change(&mut entry);
        tokens(vec![entry])
    };
    check(
        tokens(vec![good(), good()]),
        true,
        "token `x` is there twice",
    );
    check(entry(|e| e.rights.clear()), true, "`rights` is empty");
    check(
        entry(|e| e.token = None),
        true,
        "either `sha256` or `token`",
    );
    check(
        entry(|e| e.token = Some("short".into())),
        true,
        "fewer than 16",
    );
    check(entry(|e| e.sha256 = Some(SHA256.into())), true, "either");
    let no_hash = entry(|e| (e.token, e.sha256) = (None, Some("é".repeat(32))));
    check(no_hash, true, "64 hexadecimal digits");
    check(
        entry(|e| e.tenants = Some(vec!["a".into()])),
        false,
        "-auth.multitenancy-enabled",
    );
    check(
        entry(|e| e.tenants = Some(Vec::new())),
        true,
        "`tenants` is empty",
    );
    check(
        entry(|e| e.tenants = Some(vec!["a/b".into()])),
        true,
        "tenant `a/b`",
    );
    let admin = entry(|e| {
        e.tenants = Some(vec!["a".into()]);
        e.rights.push(Right::Internal);
    });
    check(admin, true, "the right `internal`, which is about all");
    let same = TokenEntry {
        name: "y".to_owned(),
        ..good()
    };
    check(tokens(vec![good(), same]), true, "same as that of `x`");

    let users = |users: Vec<UserEntry>| LoginsDocument {
        users,
        ..LoginsDocument::default()
    };
    check(
        users(vec![user("a", "secret")]),
        true,
        "user `a`: `bcrypt` is no bcrypt",
    );
    check(users(vec![user("a:b", HTPASSWD)]), true, "colon");
    let costly = HTPASSWD.replace("$05$", "$31$");
    check(users(vec![user("grafana", &costly)]), true, "cost above 14");
}

#[test]
fn the_file_is_read_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("logins");
    let read: ReadDocument = |text| {
        let line = text.lines().next().ok_or("it is empty")?;
        let entry = token(line, &[Right::Read], None);
        Ok(LoginsDocument {
            tokens: vec![entry],
            ..LoginsDocument::default()
        })
    };
    std::fs::write(&path, "one\n").unwrap();
    let file = LoginsFile::open(&path, read, true, &Figures::default()).unwrap();
    let knows = |name: &str| {
        let token = format!("{TOKEN}, {name}");
        file.current().token(token.as_bytes()).is_some()
    };
    assert!(knows("one"));
    std::fs::write(&path, "").unwrap();
    file.reload().reload();
    assert!(knows("one"));
    std::fs::write(&path, "two\n").unwrap();
    file.reload().reload();
    assert!(knows("two") && !knows("one"));
}

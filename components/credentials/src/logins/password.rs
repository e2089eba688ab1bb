//! Passwords: slow to check once, fast to know again.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use ring::hmac;

use super::{Login, Logins};

/// What a secret of this process makes of something: who does not know it cannot find another thing that has the same, nor one
/// that has the same beginning.
pub(super) type Tag = [u8; 32];

pub(super) struct Secret(pub(super) hmac::Key);

impl Secret {
    pub(super) fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let tag = context.sign();
        std::array::from_fn(|at| tag.as_ref().get(at).copied().unwrap_or_default())
    }
}

pub(super) struct User {
    pub(super) login: Arc<Login>,
    hash: String,
    checked: Mutex<Checked>,
}

/// What was last found out: two things for each user, however many are tried.
#[derive(Default)]
struct Checked {
    right: Option<Tag>,
    wrong: Option<Tag>,
}

impl User {
    pub(super) fn new(login: Arc<Login>, hash: String) -> Self {
        Self {
            login,
            hash,
            checked: Mutex::default(),
        }
    }

    fn known(&self, tag: Tag) -> Option<bool> {
        let checked = self.checked.lock();
        if checked.right == Some(tag) {
            Some(true)
        } else {
            (checked.wrong == Some(tag)).then_some(false)
        }
    }
}

/// What is known of a password.
#[derive(Debug)]
pub enum Password {
    /// It is the one of this login.
    Right(Arc<Login>),
    /// It is not.
    Wrong,
    /// It has to be checked.
    Unknown(PasswordCheck),
}

/// A check that takes its time.
pub struct PasswordCheck {
    logins: Arc<Logins>,
    user: String,
    password: String,
    tag: Tag,
    /// There is no such user: the check takes as long all the same, so that nobody learns it from that.
    is_for_show: bool,
}

impl fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordCheck").finish_non_exhaustive()
    }
}

impl Logins {
    /// Whether the user has this password, as far as that is quickly said.
    #[must_use]
    pub fn password(self: &Arc<Self>, user: &str, password: &str) -> Password {
        let tag = self.secret.tag(&[user.as_bytes(), password.as_bytes()]);
        let known = self.users.get(user);
        // Somebody's, if there is no such user.
        let Some(checked) = known.or_else(|| self.users.values().next()) else {
            return Password::Wrong;
        };
        match checked.known(tag) {
            Some(true) => Password::Right(Arc::clone(&checked.login)),
            Some(false) => Password::Wrong,
            None => Password::Unknown(PasswordCheck {
                logins: Arc::clone(self),
                user: checked.login.name.clone(),
                password: password.to_owned(),
                tag,
                is_for_show: known.is_none(),
            }),
        }
    }
}

impl PasswordCheck {
    /// Takes 50 ms or more of a processor, unless somebody else has checked it meanwhile.
    #[must_use]
    pub fn run(self) -> Option<Arc<Login>> {
        let user = self.logins.users.get(&self.user)?;
        let is_right = user.known(self.tag).unwrap_or_else(|| {
            // What is too long for bcrypt is wrong, too.
            let found = bcrypt::non_truncating_verify(&self.password, &user.hash);
            let is_right = found.unwrap_or_default() && !self.is_for_show;
            let mut checked = user.checked.lock();
            match is_right {
                true => checked.right = Some(self.tag),
                false => checked.wrong = Some(self.tag),
            }
            is_right
        });
        is_right.then(|| Arc::clone(&user.login))
    }
}

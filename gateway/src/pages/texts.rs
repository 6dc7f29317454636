//! Every word that a page shows, once in each language. A text that has no translation does not compile,
//! since each language is one whole [`Texts`]. What is said never depends on whether an account exists.

use std::time::Duration;

use super::Done;
use super::device::DeviceName;
use super::language::Language;
use crate::clock::Minute;
use crate::session::Cause;

/// What is said, and how.
pub(super) struct Texts {
    pub(super) sign_in: &'static str,
    pub(super) username: &'static str,
    pub(super) email: &'static str,
    pub(super) password: &'static str,
    pub(super) create_account: &'static str,
    pub(super) no_account: &'static str,
    pub(super) have_account: &'static str,
    pub(super) error: &'static str,
    pub(super) wrong: &'static str,
    pub(super) incomplete: &'static str,
    pub(super) unavailable: &'static str,
    pub(super) too_many_devices: &'static str,
    pub(super) not_created: &'static str,
    pub(super) too_many: fn(Duration) -> String,
    pub(super) signed_out: fn(Cause) -> &'static str,
    pub(super) sessions: &'static str,
    pub(super) about_sessions: &'static str,
    pub(super) this_device: &'static str,
    pub(super) device: fn(DeviceName<'_>) -> String,
    pub(super) address: &'static str,
    pub(super) created: &'static str,
    pub(super) last_used: &'static str,
    pub(super) moment: fn(Minute) -> String,
    pub(super) end: &'static str,
    pub(super) end_others: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) back: &'static str,
    pub(super) done: fn(Done) -> &'static str,
}

impl Texts {
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Korean => &KOREAN,
        }
    }
}

/// A wait in whole seconds, or whole minutes if it is long, rounded up so that who waits as told is served.
fn rounded_up(wait: Duration) -> (u128, bool) {
    match wait.as_millis().div_ceil(1000).max(1) {
        secs if secs <= 90 => (secs, false),
        secs => (secs.div_ceil(60), true),
    }
}

const ENGLISH: Texts = Texts {
    sign_in: "Sign in",
    username: "Username",
    email: "Email",
    password: "Password",
    create_account: "Create an account",
    no_account: "New here?",
    have_account: "Already have an account?",
    error: "Error",
    wrong: "That name and password don’t match. Check both and try again.",
    incomplete: "Enter your name and your password.",
    unavailable: "Signing in isn’t possible right now. Nothing was changed; please try again in a moment.",
    too_many_devices: "You are signed in on as many devices as you may be. Sign out on one of them, then try again.",
    not_created: "The account could not be created",
    too_many: |wait| {
        let (count, unit) = match rounded_up(wait) {
            (1, false) => (1, "second"),
            (count, false) => (count, "seconds"),
            (count, true) => (count, "minutes"),
        };
        format!("Too many attempts. Please try again in {count} {unit}.")
    },
    signed_out: |reason| match reason {
        Cause::Reused => {
            "You were signed out to protect your account: an old sign-in of yours was used a second time, so someone else may have a copy. Sign in again, and change your password if this surprises you."
        }
        Cause::Expired => "Your session has ended. Sign in again to go on.",
        Cause::LoggedOut => "You are signed out.",
        Cause::Revoked => "Your session was ended for you. Sign in again to go on.",
        Cause::Disabled => "You were signed out because the account was disabled. Ask those who run this service.",
        Cause::Evicted => "You signed in on another device, and there were too many. This session was the oldest.",
    },
    sessions: "Your sessions",
    about_sessions: "You are signed in on these devices. If you don’t recognise one, end its session and change your password.",
    this_device: "This device",
    device: |device| match device {
        DeviceName::Browser(browser, system) => format!("{browser} on {system}"),
        DeviceName::Program(name) => name.to_owned(),
        DeviceName::System(system) => system.to_owned(),
        DeviceName::Unknown => "Unknown device".to_owned(),
    },
    address: "Address",
    created: "Signed in",
    last_used: "Last used",
    moment: |Minute { year, month, day, hour, minute }| {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = MONTHS[usize::from(month - 1) % MONTHS.len()];
        format!("{day} {month} {year}, {hour:02}:{minute:02} UTC")
    },
    end: "End session",
    end_others: "End all other sessions",
    sign_out: "Sign out",
    back: "Back",
    done: |done| match done {
        Done::Ended => "The session was ended.",
        Done::OthersEnded => "All other sessions were ended.",
    },
};

const KOREAN: Texts = Texts {
    sign_in: "로그인",
    username: "사용자 이름",
    email: "이메일",
    password: "비밀번호",
    create_account: "계정 만들기",
    no_account: "처음이신가요?",
    have_account: "이미 계정이 있으신가요?",
    error: "오류",
    wrong: "이름 또는 비밀번호가 올바르지 않습니다. 다시 확인해 주세요.",
    incomplete: "이름과 비밀번호를 모두 입력해 주세요.",
    unavailable: "지금은 로그인할 수 없습니다. 변경된 내용은 없으니 잠시 후 다시 시도해 주세요.",
    too_many_devices: "로그인할 수 있는 기기 수를 초과했습니다. 다른 기기에서 로그아웃한 뒤 다시 시도해 주세요.",
    not_created: "계정을 만들지 못했습니다",
    too_many: |wait| {
        let (count, unit) = match rounded_up(wait) {
            (count, false) => (count, "초"),
            (count, true) => (count, "분"),
        };
        format!("시도 횟수가 너무 많습니다. {count}{unit} 후에 다시 시도해 주세요.")
    },
    signed_out: |reason| match reason {
        Cause::Reused => {
            "계정 보호를 위해 로그아웃되었습니다. 이전 로그인 정보가 다시 사용되어 다른 사람이 이를 가지고 있을 수 있습니다. 다시 로그인해 주시고, 직접 하신 일이 아니라면 비밀번호를 변경해 주세요."
        }
        Cause::Expired => "세션이 종료되었습니다. 계속하려면 다시 로그인해 주세요.",
        Cause::LoggedOut => "로그아웃되었습니다.",
        Cause::Revoked => "운영자 또는 보안 정책에 의해 세션이 종료되었습니다. 계속하려면 다시 로그인해 주세요.",
        Cause::Disabled => "계정이 비활성화되어 로그아웃되었습니다. 서비스 운영자에게 문의해 주세요.",
        Cause::Evicted => {
            "로그인할 수 있는 기기 수를 초과하여 가장 오래된 이 세션이 종료되었습니다. 계속하려면 다시 로그인해 주세요."
        }
    },
    sessions: "내 세션",
    about_sessions: "다음 기기에서 로그인되어 있습니다. 모르는 기기가 있으면 세션을 종료하고 비밀번호를 변경해 주세요.",
    this_device: "이 기기",
    device: |device| match device {
        DeviceName::Browser(browser, system) => format!("{system}의 {browser}"),
        DeviceName::Program(name) => name.to_owned(),
        DeviceName::System(system) => system.to_owned(),
        DeviceName::Unknown => "알 수 없는 기기".to_owned(),
    },
    address: "주소",
    created: "로그인",
    last_used: "최근 사용",
    moment: |Minute { year, month, day, hour, minute }| format!("{year}년 {month}월 {day}일 {hour:02}:{minute:02} UTC"),
    end: "세션 종료",
    end_others: "다른 세션 모두 종료",
    sign_out: "로그아웃",
    back: "돌아가기",
    done: |done| match done {
        Done::Ended => "세션을 종료했습니다.",
        Done::OthersEnded => "다른 세션을 모두 종료했습니다.",
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_words_and_rounded_up() {
        let said = |millis| {
            [Language::English, Language::Korean]
                .map(|language| (Texts::of(language).too_many)(Duration::from_millis(millis)))
        };
        for (millis, english, korean) in [
            (0, "in 1 second.", " 1초 후"),
            (1001, "in 2 seconds.", " 2초 후"),
            (90_000, "in 90 seconds.", " 90초 후"),
            (90_001, "in 2 minutes.", " 2분 후"),
            (600_000, "in 10 minutes.", " 10분 후"),
        ] {
            let [in_english, in_korean] = said(millis);
            assert!(in_english.ends_with(english), "{in_english}");
            assert!(in_korean.contains(korean), "{in_korean}");
        }
    }

    #[test]
    fn a_moment_is_told_as_it_is_written_in_the_language() {
        let minute = crate::clock::Timestamp::from_secs(1_700_000_000).minute();
        assert_eq!((ENGLISH.moment)(minute), "14 Nov 2023, 22:13 UTC");
        assert_eq!((KOREAN.moment)(minute), "2023년 11월 14일 22:13 UTC");
    }
}

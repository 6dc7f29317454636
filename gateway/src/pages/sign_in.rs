//! The form of the sign-in page, which also creates accounts. It works without scripts, says what password
//! managers need to know, and ties what went wrong to the fields that it concerns. It is given nothing
//! that it may not show.

use maud::{Markup, html};

use super::texts::Texts;
use super::{NEW, PASSWORD, RETURN_TO, SignIn, Terms, Trouble};
use crate::session::Cause;

/// The most characters that an upstream may say.
const MAX_SAID: usize = 200;

/// What ties a field to what went wrong.
#[derive(Clone, Copy)]
struct Blame {
    described: Option<&'static str>,
    invalid: Option<&'static str>,
}

/// The form, and what is to be said before it.
pub(super) fn form(terms: &Terms, texts: &Texts, page: &SignIn<'_>) -> Markup {
    let wrong = page.trouble.map(|trouble| said(trouble, texts));
    let blame = Blame {
        described: page.trouble.map(|_| "error"),
        invalid: page.trouble.filter(|trouble| trouble.is_of_a_field()).map(|_| "true"),
    };
    html! {
        @if let Some(reason) = page.signed_out { (notice(reason, texts)) }
        @if let Some(wrong) = &wrong { p #error .bad role="alert" { (wrong) } }
        // The address says what is asked for, so that it is known even where the form can't be read.
        form method="post" action=(address(terms, page.new, page)) {
            (account(terms, texts, page, blame))
            label for="password" { (texts.password) }
            input #password type="password" name=(PASSWORD) required
                autocomplete=(if page.new { "new-password" } else { "current-password" })
                autofocus[!page.account.is_empty()] aria-invalid=[blame.invalid] aria-describedby=[blame.described];
            button.main { (if page.new { texts.create_account } else { texts.sign_in }) }
        }
        @if terms.can_register { (other_form(terms, texts, page)) }
    }
}

fn notice(reason: Cause, texts: &Texts) -> Markup {
    let alarming = reason == Cause::Reused;
    html! {
        p .note[!alarming] .bad[alarming] role=(if alarming { "alert" } else { "status" }) { ((texts.signed_out)(reason)) }
    }
}

fn account(terms: &Terms, texts: &Texts, page: &SignIn<'_>, blame: Blame) -> Markup {
    let by_email = terms.account_field == "email";
    html! {
        label for="account" { (if by_email { texts.email } else { texts.username }) }
        input #account type=(if by_email { "email" } else { "text" }) name=(terms.account_field) value=(page.account)
            required autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false"
            autofocus[page.account.is_empty()] aria-invalid=[blame.invalid] aria-describedby=[blame.described];
    }
}

/// The way from signing in to a new account, or back.
fn other_form(terms: &Terms, texts: &Texts, page: &SignIn<'_>) -> Markup {
    let (question, answer) =
        if page.new { (texts.have_account, texts.sign_in) } else { (texts.no_account, texts.create_account) };
    html! { p.other { (question) " " a href=(address(terms, !page.new, page)) { (answer) } } }
}

/// Where one signs in, or creates an account, and goes on to where one was going.
fn address(terms: &Terms, new: bool, page: &SignIn<'_>) -> String {
    let new = new.then_some((NEW, "1"));
    terms.sign_in_with(new.into_iter().chain([(RETURN_TO, page.return_to.as_str())]))
}

fn said(trouble: Trouble<'_>, texts: &Texts) -> String {
    match trouble {
        Trouble::Wrong => texts.wrong.to_owned(),
        Trouble::Incomplete => texts.incomplete.to_owned(),
        Trouble::TooMany(wait) => (texts.too_many)(wait),
        Trouble::TooManyDevices => texts.too_many_devices.to_owned(),
        Trouble::Unavailable => texts.unavailable.to_owned(),
        Trouble::NotCreated(why) => match plain(why) {
            why if why.is_empty() => format!("{}.", texts.not_created),
            why => format!("{}: {why}", texts.not_created),
        },
    }
}

/// What an upstream says, as one short line of visible text that can't change the direction of writing.
fn plain(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let text: String = text.chars().map(|c| if unseen(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_SAID).collect()
}

//! Asking before something is destroyed.

use std::io::{BufRead, IsTerminal, Write};

use crate::{
    context::Context,
    failure::{Failure, Result},
    render::text,
};

/// Goes on if `--yes` was given or `name` is typed. Without a terminal there is nobody to ask.
pub(crate) async fn destruction(context: &Context, what_happens: &str, name: &str) -> Result<()> {
    if context.yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let mut refused = Failure::new("this has to be confirmed, and there is no terminal to ask on")
            .code("not_confirmed")
            .help("add --yes if you are sure");
        refused.causes.push(what_happens.to_owned());
        return Err(refused);
    }
    let question = format!("{}\nType `{}` to go on: ", text::clean(what_happens), text::clean(name));
    let typed = tokio::task::spawn_blocking(move || ask(&question))
        .await
        .map_err(|e| Failure::new("the question was cut off").caused_by(e))?
        .map_err(|e| Failure::new("the answer could not be read").caused_by(e))?;
    if typed.trim() == name {
        return Ok(());
    }
    Err(Failure::new("not confirmed: nothing was changed")
        .code("not_confirmed")
        .help("type the name exactly, or --yes"))
}

fn ask(question: &str) -> std::io::Result<String> {
    // Not locked while it waits: Ctrl-C has something to say too.
    write!(std::io::stderr(), "{question}")?;
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

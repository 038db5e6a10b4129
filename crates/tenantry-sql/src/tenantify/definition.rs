//! The parts of `CREATE TABLE` and of `ALTER TABLE ... ADD`: columns and constraints.

use super::cursor::{Cursor, Group, Name, parts};
use crate::postgres::lex::Token;

pub(super) const TENANT_ID: &str = "tenant_id";

/// What a constraint does; of the others nothing has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    PrimaryKey,
    Unique,
    ForeignKey,
    Exclude,
}

pub(super) struct Constraint<'t, 'a> {
    /// All of it, with `CONSTRAINT name`.
    pub(super) tokens: &'t [Token<'a>],
    pub(super) name: Option<Token<'a>>,
    /// The first word behind the name.
    pub(super) keyword: Token<'a>,
    pub(super) rule: Rule,
    /// The column that it stands at, if it is not one of the table.
    pub(super) column: Option<Token<'a>>,
    /// `NULLS NOT DISTINCT`, or `USING gist`.
    pub(super) manner: &'t [Token<'a>],
    pub(super) list: Option<Group<'t, 'a>>,
    pub(super) reference: Option<Reference<'t, 'a>>,
    /// What comes behind the list, or behind the reference's.
    pub(super) tail: &'t [Token<'a>],
}

pub(super) struct Reference<'t, 'a> {
    pub(super) keyword: Token<'a>,
    pub(super) table: Name,
    pub(super) list: Option<Group<'t, 'a>>,
}

/// Where `tenant_id` stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    Led,
    /// It is there, but not in front.
    Behind,
    Missing,
}

/// Where `tenant_id` stands in a list.
pub(super) fn lead(list: &Group<'_, '_>) -> Lead {
    let is_tenant = |part: &&[Token<'_>]| part[0].name().is_some_and(|name| name == TENANT_ID);
    match list.items().iter().position(is_tenant) {
        Some(0) => Lead::Led,
        Some(_) => Lead::Behind,
        None => Lead::Missing,
    }
}

/// The names of a list of columns without `tenant_id`.
pub(super) fn columns(list: &Group<'_, '_>) -> Vec<String> {
    all_columns(list).into_iter().filter(|name| name != TENANT_ID).collect()
}

pub(super) fn all_columns(list: &Group<'_, '_>) -> Vec<String> {
    list.items().iter().filter_map(|part| part[0].name()).map(|name| name.into_owned()).collect()
}

impl<'t, 'a> Constraint<'t, 'a> {
    /// Reads a constraint of a table; `None` for one that needs no change, such as a check.
    pub(super) fn of_table(tokens: &'t [Token<'a>]) -> Option<Self> {
        let mut at = Cursor::new(tokens);
        let name = at.take(&["constraint"]).then(|| at.next()).flatten();
        let keyword = at.peek()?;
        let rule = if at.take(&["primary", "key"]) {
            Rule::PrimaryKey
        } else if at.take(&["unique"]) {
            Rule::Unique
        } else if at.take(&["foreign", "key"]) {
            Rule::ForeignKey
        } else if at.take(&["exclude"]) {
            Rule::Exclude
        } else {
            return None;
        };
        let before = at;
        while at.take_any(&["nulls", "not", "distinct"]) {}
        if rule == Rule::Exclude && at.take(&["using"]) {
            at.next();
        }
        let manner = &before.rest()[..before.rest().len() - at.rest().len()];
        let list = at.group();
        let reference = if rule == Rule::ForeignKey { Some(Reference::read(&mut at)?) } else { None };
        Some(Self { tokens, name, keyword, rule, column: None, manner, list, reference, tail: at.rest() })
    }

    /// The columns of an INCLUDE.
    pub(super) fn included(&self) -> Vec<String> {
        let mut at = Cursor::new(self.tail);
        let list = at.take(&["include"]).then(|| at.group()).flatten();
        list.map(|list| all_columns(&list)).unwrap_or_default()
    }

    /// Its columns without `tenant_id`.
    pub(super) fn columns(&self) -> Vec<String> {
        match (&self.column, &self.list) {
            (Some(column), _) => column.name().map(|name| name.into_owned()).into_iter().collect(),
            (None, Some(list)) => columns(list),
            (None, None) => Vec::new(),
        }
    }

    /// What tells a unique key from another one of the same table.
    pub(super) fn key(&self) -> String {
        let words = self.manner.iter().chain(self.tail).map(|token| token.text.to_ascii_lowercase());
        self.columns().into_iter().chain([String::new()]).chain(words).collect::<Vec<_>>().join("\0")
    }

    pub(super) fn start(&self) -> usize {
        self.tokens[0].start
    }
}

impl<'t, 'a> Reference<'t, 'a> {
    fn read(at: &mut Cursor<'t, 'a>) -> Option<Self> {
        let keyword = at.peek()?;
        if !at.take(&["references"]) {
            return None;
        }
        Some(Self { keyword, table: at.name()?, list: at.group() })
    }
}

/// One column, with those of its constraints that have to lead with `tenant_id`.
pub(super) struct Column<'t, 'a> {
    pub(super) name: Token<'a>,
    pub(super) tokens: &'t [Token<'a>],
    pub(super) constraints: Vec<Constraint<'t, 'a>>,
}

impl<'t, 'a> Column<'t, 'a> {
    pub(super) fn read(tokens: &'t [Token<'a>]) -> Option<Self> {
        let mut at = Cursor::new(tokens);
        let name = at.next().filter(Token::is_name)?;
        let mut constraints = Vec::new();
        while let Some(token) = at.peek() {
            let start = at;
            match at_column(&mut at, name) {
                Some(constraint) if token.depth == name.depth => constraints.push(constraint),
                _ => {
                    at = start;
                    at.next();
                }
            }
        }
        Some(Self { name, tokens, constraints })
    }

    /// Whether it is `tenant_id` as a tenant's table has to have it.
    pub(super) fn is_proper_tenant_id(&self) -> bool {
        let has = |words: &[&str]| {
            self.tokens
                .windows(words.len())
                .any(|w| w.iter().zip(words).all(|(t, word)| t.text.eq_ignore_ascii_case(word)))
        };
        self.tokens.get(1).is_some_and(|kind| kind.is("uuid"))
            && has(&["not", "null"])
            && has(&["default", "tenantry", ".", "tenant", "(", ")"])
    }
}

/// Reads a constraint that stands at a column, if one comes next.
fn at_column<'t, 'a>(at: &mut Cursor<'t, 'a>, column: Token<'a>) -> Option<Constraint<'t, 'a>> {
    let all = *at;
    let name = at.take(&["constraint"]).then(|| at.next()).flatten();
    let keyword = at.peek()?;
    let before = |now: &Cursor<'t, 'a>, then: &Cursor<'t, 'a>| &then.rest()[..then.rest().len() - now.rest().len()];
    let (rule, manner, reference) = if at.take(&["primary", "key"]) {
        (Rule::PrimaryKey, &[][..], None)
    } else if at.take(&["unique"]) {
        let start = *at;
        if at.take(&["nulls"]) {
            at.take(&["not"]);
            at.take(&["distinct"]);
        }
        (Rule::Unique, before(at, &start), None)
    } else if at.sees(&["references"]) {
        (Rule::ForeignKey, &[][..], Some(Reference::read(at)?))
    } else {
        return None;
    };
    let start = *at;
    while pass_attribute(at) {}
    Some(Constraint {
        tokens: before(at, &all),
        name,
        keyword,
        rule,
        column: Some(column),
        manner,
        list: None,
        reference,
        tail: before(at, &start),
    })
}

/// Goes over one thing that belongs to the constraint before it.
fn pass_attribute(at: &mut Cursor<'_, '_>) -> bool {
    if at.take(&["match"]) {
        return at.next().is_some();
    }
    if at.take(&["on", "delete"]) || at.take(&["on", "update"]) {
        if at.take(&["set"]) {
            at.next();
            at.group();
        } else if !at.take(&["no", "action"]) {
            at.next();
        }
        return true;
    }
    if at.take(&["using", "index", "tablespace"]) {
        return at.next().is_some();
    }
    if at.take(&["with"]) {
        return at.group().is_some();
    }
    ["deferrable", "enforced"].iter().any(|word| at.take(&[word]) || at.take(&["not", word]))
        || at.take(&["initially", "deferred"])
        || at.take(&["initially", "immediate"])
}

/// One part of a table's definition.
pub(super) enum Element<'t, 'a> {
    Column(Column<'t, 'a>),
    Constraint(Box<Constraint<'t, 'a>>),
    /// `LIKE other`
    Like,
    /// A check.
    Other,
}

impl<'t, 'a> Element<'t, 'a> {
    pub(super) fn read(tokens: &'t [Token<'a>]) -> Self {
        let first = tokens[0];
        if first.is("like") {
            return Self::Like;
        }
        if first.is_any(&["constraint", "primary", "unique", "foreign", "exclude", "check"]) {
            return Constraint::of_table(tokens)
                .map_or(Self::Other, |constraint| Self::Constraint(Box::new(constraint)));
        }
        Column::read(tokens).map_or(Self::Other, Self::Column)
    }
}

impl<'t, 'a> Element<'t, 'a> {
    /// Its constraints that have to lead with `tenant_id`.
    pub(super) fn constraints(&self) -> &[Constraint<'t, 'a>] {
        match self {
            Self::Column(column) => &column.constraints,
            Self::Constraint(constraint) => std::slice::from_ref(constraint),
            Self::Like | Self::Other => &[],
        }
    }
}

/// All parts of a table's definition.
pub(super) fn elements<'t, 'a>(list: &Group<'t, 'a>) -> Vec<Element<'t, 'a>> {
    parts(list.inside, list.open.depth + 1).into_iter().map(Element::read).collect()
}

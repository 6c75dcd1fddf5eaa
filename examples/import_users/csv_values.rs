//! The values of one line of CSV. Quotes that are out of place are refused, which the usual readers
//! make something of that nobody meant.

use std::mem;

#[derive(Clone, Copy)]
enum Place {
    Start,
    Bare,
    Quoted,
    /// After a quote that may be the closing one, or the first of two that stand for one.
    Closed,
}

/// The values; or what is wrong, without any of them.
pub(crate) fn values(line: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut place = Place::Start;
    for character in line.chars() {
        place = match (place, character) {
            (Place::Start, '"') => Place::Quoted,
            (Place::Quoted, '"') => Place::Closed,
            (Place::Bare, '"') => {
                return wrong("a quote is inside a value that does not begin with one");
            }
            (Place::Start | Place::Bare | Place::Closed, ',') => {
                values.push(mem::take(&mut value));
                Place::Start
            }
            // It is where older systems end a line.
            (Place::Start | Place::Bare, '\r') => {
                return wrong("there is a carriage return inside it");
            }
            (Place::Closed, '"') | (Place::Quoted, _) => {
                value.push(character);
                Place::Quoted
            }
            (Place::Closed, _) => {
                return wrong("there is more of a value after its closing quote");
            }
            (Place::Start | Place::Bare, _) => {
                value.push(character);
                Place::Bare
            }
        };
    }
    if matches!(place, Place::Quoted) {
        return wrong("a quote is not closed, and a row is one line");
    }
    values.push(value);
    Ok(values)
}

fn wrong<T>(what: &str) -> Result<T, String> {
    Err(what.to_owned())
}

//! Who there is: the list for the choice of a pair, and names by id.

use std::collections::BTreeMap;
use std::sync::Mutex;

use face_fix::PersonRef;
use immich_client::{Client, Error, Person, PersonId};
use serde::Serialize;

use crate::app::lock;

/// A person as the page shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PersonView {
    pub(crate) id: PersonId,
    /// Empty for unnamed people.
    pub(crate) name: String,
    pub(crate) hidden: bool,
    pub(crate) favourite: bool,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> Self {
        Self {
            id: person.id,
            name: person.name,
            hidden: person.is_hidden,
            favourite: person.is_favorite,
        }
    }
}

/// Names that were seen, by id. They are for reading: what is done goes by id.
#[derive(Debug, Default)]
pub(crate) struct People(Mutex<BTreeMap<PersonId, String>>);

impl People {
    /// Everybody that the server lists, hidden and unnamed ones too: named ones first,
    /// by name without regard to case, then by id.
    pub(crate) async fn list(&self, client: &Client) -> Result<Vec<PersonView>, Error> {
        let people = client.all_people(true).await?;
        let mut names = lock(&self.0);
        for person in &people {
            names.insert(person.id.clone(), person.name.clone());
        }
        drop(names);
        Ok(sorted(people))
    }

    /// Remembers a name that came with a face.
    pub(crate) fn note(&self, person: &Person) {
        let mut names = lock(&self.0);
        if names.get(&person.id) != Some(&person.name) {
            names.insert(person.id.clone(), person.name.clone());
        }
    }

    /// The name, asked for if nobody told it yet: people in no list are found too.
    pub(crate) async fn of(&self, client: &Client, id: &PersonId) -> Result<PersonRef, Error> {
        let known = lock(&self.0).get(id).cloned();
        let name = match known {
            Some(name) => name,
            None => {
                let person = client.person(id).await?;
                self.note(&person);
                person.name
            }
        };
        Ok(PersonRef {
            id: id.clone(),
            name,
        })
    }
}

fn sorted(people: Vec<Person>) -> Vec<PersonView> {
    let mut people: Vec<PersonView> = people.into_iter().map(PersonView::from).collect();
    people.sort_by_cached_key(|p| (p.name.is_empty(), p.name.to_lowercase(), p.id.clone()));
    people
}

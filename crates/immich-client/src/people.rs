//! Calls about people.

use reqwest::Method;
use serde_json::json;

use crate::client::Client;
use crate::error::Error;
use crate::lenient::Rows;
use crate::transport::Call;
use crate::types::{
    BulkResult, NewPerson, PeopleAnswer, PeoplePage, PeopleQuery, Person, PersonStatistics,
    PersonUpdate,
};
use crate::{AssetId, FaceId, PersonId};

/// The largest page the server gives.
const MAX_PAGE: u32 = 1000;

impl Client {
    /// `GET /people`: one page; needs `person.read`.
    ///
    /// Listed are named people and unnamed ones with enough faces; ids seen on faces
    /// may be absent here. [`Client::person`] finds those.
    pub async fn people_page(&self, query: &PeopleQuery) -> Result<PeoplePage, Error> {
        self.people_answer(self.people_call(query)).await
    }

    /// Every listed person once, over as many pages as there are.
    pub async fn all_people(&self, with_hidden: bool) -> Result<Vec<Person>, Error> {
        let mut seen = std::collections::BTreeSet::new();
        let mut people = Vec::new();
        let mut query = PeopleQuery {
            page: 1,
            size: MAX_PAGE,
            with_hidden,
        };
        loop {
            let page = self.people_page(&query).await?;
            let empty = page.people.is_empty();
            let fresh = page
                .people
                .into_iter()
                .filter(|p| seen.insert(p.id.clone()));
            people.extend(fresh);
            if !page.has_next_page || empty {
                return Ok(people);
            }
            query.page += 1;
        }
    }

    /// `GET /people?closestAssetId=<FACE id>`: people by closeness of their feature
    /// face to this face; needs `person.read` and a server from 1.124.
    ///
    /// Hidden people come last and favourites first whatever their distance, and no
    /// distance is given: compare the relative order of people with equal flags
    /// only. A face without embedding gives an arbitrary order.
    pub async fn closest_people(
        &self,
        face: &FaceId,
        query: &PeopleQuery,
    ) -> Result<PeoplePage, Error> {
        let call = self
            .people_call(query)
            .query("closestAssetId", face.as_str());
        self.people_answer(call).await
    }

    fn people_call(&self, query: &PeopleQuery) -> Call {
        self.call(Method::GET, ["people"])
            .query("page", &query.page.to_string())
            .query("size", &query.size.to_string())
            .query(
                "withHidden",
                if query.with_hidden { "true" } else { "false" },
            )
    }

    async fn people_answer(&self, call: Call) -> Result<PeoplePage, Error> {
        let answer: PeopleAnswer = self.json(&call).await?;
        Ok(PeoplePage {
            people: answer.people.items,
            has_next_page: answer.has_next_page,
            total: answer.total,
            n_unreadable: answer.people.unreadable,
        })
    }

    /// `GET /people/{id}`: also people that no list shows; needs `person.read`.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such person.
    pub async fn person(&self, id: &PersonId) -> Result<Person, Error> {
        self.json(&self.call(Method::GET, ["people", id.as_str()]))
            .await
    }

    /// `GET /search/person`: people by name; needs `person.read`. The server's search
    /// is fuzzy and does not find by prefix.
    pub async fn search_people(&self, name: &str, with_hidden: bool) -> Result<Vec<Person>, Error> {
        let call = self
            .call(Method::GET, ["search", "person"])
            .query("name", name)
            .query("withHidden", if with_hidden { "true" } else { "false" });
        let rows: Rows<Person> = self.json(&call).await?;
        Ok(rows.items)
    }

    /// `POST /people`; needs `person.create`. Not repeated when it is unclear whether
    /// it arrived: look before creating again.
    pub async fn create_person(&self, person: &NewPerson) -> Result<Person, Error> {
        let call = self
            .call(Method::POST, ["people"])
            .body(json!(person))
            .unsafe_to_repeat();
        self.json(&call).await
    }

    /// `PUT /people/{id}`; needs `person.update`.
    pub async fn update_person(
        &self,
        id: &PersonId,
        update: &PersonUpdate,
    ) -> Result<Person, Error> {
        let call = self
            .call(Method::PUT, ["people", id.as_str()])
            .body(json!(update));
        self.json(&call).await
    }

    /// `DELETE /people/{id}`; needs `person.delete`. Their faces become nobody's.
    ///
    /// # Errors
    /// [`Error::Missing`] when there was no such person at the first attempt.
    pub async fn delete_person(&self, id: &PersonId) -> Result<(), Error> {
        let call = self.call(Method::DELETE, ["people", id.as_str()]);
        self.effect(&call, true).await
    }

    /// `POST /people/{id}/merge`: everything of `others` goes to `into` and they are
    /// deleted; needs `person.merge`. There is no way back, and failures of single
    /// people come inside a success: look at every result.
    pub async fn merge_people(
        &self,
        into: &PersonId,
        others: &[PersonId],
    ) -> Result<Vec<BulkResult>, Error> {
        let call = self
            .call(Method::POST, ["people", into.as_str(), "merge"])
            .body(json!({ "ids": others }))
            .unsafe_to_repeat();
        self.json(&call).await
    }

    /// `PUT /people/{id}/reassign`: gives **every** face of `from` on each asset to
    /// `to`; needs `person.reassign`. Says success even when nothing matched, and
    /// moves both twins: for single faces use [`Client::reassign_face`].
    pub async fn reassign_all_on_assets(
        &self,
        to: &PersonId,
        from: &PersonId,
        assets: &[AssetId],
    ) -> Result<(), Error> {
        let data: Vec<_> = assets
            .iter()
            .map(|asset| json!({ "personId": from, "assetId": asset }))
            .collect();
        let call = self
            .call(Method::PUT, ["people", to.as_str(), "reassign"])
            .body(json!({ "data": data }));
        self.effect(&call, false).await
    }

    /// `GET /people/{id}/statistics`; needs `person.statistics`.
    pub async fn person_statistics(&self, id: &PersonId) -> Result<PersonStatistics, Error> {
        let call = self.call(Method::GET, ["people", id.as_str(), "statistics"]);
        self.json(&call).await
    }
}

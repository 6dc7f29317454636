//! Users in as little memory as a table of names can do with: places that are empty cost a pointer. It relies on its
//! owner for what is known of a user, and to lock it.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::ids::Subject;

/// What an allocator gives out is a multiple of this.
const GRAIN: usize = 8;

/// Tables that are emptier than one in so many are made smaller.
const ROOMY: usize = 4;

/// What is known of users, by their names.
#[derive(Debug)]
pub(super) struct Users<T> {
    table: HashTable<Box<User<T>>>,
    hasher: RandomState,
    /// Bytes beside the table.
    bytes: usize,
}

#[derive(Debug)]
struct User<T> {
    /// Not shared with anybody, so without counts.
    name: Box<str>,
    known: T,
}

impl<T> User<T> {
    fn cost(&self) -> usize {
        size_of::<Self>() + self.name.len().next_multiple_of(GRAIN)
    }

    fn subject(&self) -> Subject {
        Subject::parse(&self.name).expect("it was one")
    }
}

impl<T> Default for Users<T> {
    fn default() -> Self {
        Self { table: HashTable::new(), hasher: RandomState::new(), bytes: 0 }
    }
}

impl<T> Users<T> {
    pub(super) fn get(&self, subject: &Subject) -> Option<&T> {
        let name = subject.as_str();
        self.table.find(self.hasher.hash_one(name), |user| *user.name == *name).map(|user| &user.known)
    }

    /// Takes in what was told of a user, if it is news to what is known.
    pub(super) fn tell(&mut self, subject: &Subject, told: T, is_news: impl FnOnce(&T, &T) -> bool) {
        let (name, hasher) = (subject.as_str(), &self.hasher);
        let hash = hasher.hash_one(name);
        match self.table.entry(hash, |user| *user.name == *name, |user| hasher.hash_one(&*user.name)) {
            Entry::Occupied(mut user) => {
                if is_news(&user.get().known, &told) {
                    user.get_mut().known = told;
                }
            }
            Entry::Vacant(place) => {
                let user = Box::new(User { name: name.into(), known: told });
                self.bytes += user.cost();
                place.insert(user);
            }
        }
    }

    /// Forgets a user, if what is known is like this.
    pub(super) fn remove_if(&mut self, subject: &Subject, is_so: impl FnOnce(&T) -> bool) {
        let name = subject.as_str();
        if let Ok(user) = self.table.find_entry(self.hasher.hash_one(name), |user| *user.name == *name)
            && is_so(&user.get().known)
        {
            self.bytes -= user.remove().0.cost();
        }
    }

    /// Forgets those of whom it is not so, and the room that they took.
    pub(super) fn retain(&mut self, is_so: impl Fn(&T) -> bool) {
        let bytes = &mut self.bytes;
        self.table.retain(|user| {
            let stays = is_so(&user.known);
            *bytes -= if stays { 0 } else { user.cost() };
            stays
        });
        if self.table.len() < self.table.capacity() / ROOMY {
            let hasher = &self.hasher;
            self.table.shrink_to_fit(|user| hasher.hash_one(&*user.name));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Subject, &T)> {
        self.table.iter().map(|user| (user.subject(), &user.known))
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.allocation_size() + self.bytes
    }
}

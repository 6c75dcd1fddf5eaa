//! What made-up people are put together from.

/// Given name, family name, locale: taken apart and combined anew.
pub(super) const PEOPLE: [(&str, &str, &str); 24] = [
    ("Ada", "Okafor", "en"),
    ("Bruno", "Silva", "pt-BR"),
    ("Chloe", "Martin", "fr"),
    ("Dmitri", "Petrov", "bg"),
    ("Elif", "Yilmaz", "tr"),
    ("Farah", "Haddad", "ar"),
    ("Greta", "Lindqvist", "sv"),
    ("Hiro", "Tanaka", "ja"),
    ("Ines", "Garcia", "es"),
    ("Jonas", "Weber", "de"),
    ("Keira", "Murphy", "en-IE"),
    ("Luca", "Rossi", "it"),
    ("Mei", "Chen", "zh-TW"),
    ("Noah", "Williams", "en-US"),
    ("Olga", "Nowak", "pl"),
    ("Priya", "Sharma", "hi"),
    ("Quinn", "Taylor", "en-GB"),
    ("Rosa", "Fernandez", "es-MX"),
    ("Samir", "Rahman", "bn"),
    ("Tess", "De Vries", "nl"),
    ("Umar", "Khan", "ur"),
    ("Vera", "Novak", "cs"),
    ("Wanjiru", "Kamau", "sw"),
    ("Yara", "Cohen", "he"),
];

pub(super) const DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];

/// Networks that are reserved for documentation (RFC 5737), as if they were somewhere.
pub(super) const PLACES: [(&str, &str, &str); 6] = [
    ("192.0.2", "DE", "Berlin"),
    ("192.0.2", "GB", "London"),
    ("198.51.100", "US", "Chicago"),
    ("198.51.100", "JP", "Osaka"),
    ("203.0.113", "BR", "Recife"),
    ("203.0.113", "KE", "Nairobi"),
];

pub(super) const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36",
    "StorefrontApp/4.2 (Android 15)",
];

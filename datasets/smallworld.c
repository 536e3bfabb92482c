#include "datasets/smallworld.h"

#include <string.h>

/* Town and job were drawn once and are facts from then on: name, female, town, job. */
const struct person sw_people[] = {
    {"Mara", true, 22, 14},
    {"Tobin", false, 12, 2},
    {"Lena", true, 20, 9},
    {"Anders", false, 3, 14},
    {"Ilse", true, 19, 13},
    {"Bram", false, 5, 11},
    {"Wren", true, 28, 3},
    {"Caspar", false, 26, 17},
    {"Odile", true, 2, 4},
    {"Dov", false, 1, 7},
    {"Tamsin", true, 10, 12},
    {"Edric", false, 8, 7},
    {"Petra", true, 29, 18},
    {"Felix", false, 26, 8},
    {"Saskia", true, 25, 4},
    {"Gorm", false, 9, 2},
    {"Nell", true, 12, 19},
    {"Hugo", false, 18, 0},
    {"Ivy", true, 30, 7},
    {"Ivo", false, 11, 16},
    {"Greta", true, 15, 21},
    {"Jonas", false, 8, 19},
    {"Hanne", true, 15, 20},
    {"Kell", false, 7, 12},
    {"Romy", true, 24, 0},
    {"Lorcan", false, 25, 18},
    {"Clio", true, 0, 19},
    {"Milo", false, 23, 5},
    {"Thea", true, 17, 0},
    {"Niall", false, 11, 9},
    {"Una", true, 21, 17},
    {"Osric", false, 13, 8},
    {"Zelda", true, 10, 1},
    {"Piet", false, 2, 15},
    {"Dora", true, 3, 6},
    {"Quinn", false, 14, 5},
    {"Faye", true, 20, 11},
    {"Rolf", false, 29, 10},
    {"Signe", true, 5, 6},
    {"Sven", false, 14, 13},
    {"Runa", true, 31, 6},
    {"Tarn", false, 21, 5},
    {"Esme", true, 0, 1},
    {"Ulric", false, 6, 21},
    {"Livia", true, 27, 13},
    {"Viktor", false, 18, 1},
    {"Maud", true, 1, 11},
    {"Wim", false, 23, 20},
    {"Ada", true, 6, 4},
    {"Yoran", false, 13, 16},
    {"Bettina", true, 24, 3},
    {"Zeke", false, 9, 15},
    {"Corin", true, 30, 8},
    {"Aldo", false, 28, 2},
    {"Dilys", true, 27, 14},
    {"Bruno", false, 31, 17},
    {"Freya", true, 7, 3},
    {"Cyril", false, 16, 10},
    {"Gwen", true, 4, 10},
    {"Ewan", false, 16, 9},
    {"Inga", true, 19, 12},
    {"Gil", false, 22, 15},
    {"Juno", true, 4, 18},
    {"Harald", false, 17, 16},
};
const int sw_n_people = sizeof sw_people / sizeof *sw_people;

/* Four towns a county, in turn. */
const struct town sw_towns[] = {{"Ashby", 0}, {"Brell", 1}, {"Corvane", 2}, {"Dunmoor", 3},
    {"Elsing", 4}, {"Farrow", 5}, {"Grayle", 6}, {"Holmby", 7}, {"Ister", 0}, {"Jarrick", 1},
    {"Kelby", 2}, {"Lornis", 3}, {"Marling", 4}, {"Nethby", 5}, {"Orrin", 6}, {"Penwick", 7},
    {"Quarle", 0}, {"Rusken", 1}, {"Selby", 2}, {"Thornley", 3}, {"Ulver", 4}, {"Varnick", 5},
    {"Wexley", 6}, {"Yarrow", 7}, {"Zenby", 0}, {"Averil", 1}, {"Boskin", 2}, {"Cradick", 3},
    {"Drummel", 4}, {"Estwick", 5}, {"Fenby", 6}, {"Gorley", 7}};
const int sw_n_towns = sizeof sw_towns / sizeof *sw_towns;

const struct county sw_counties[] = {{"Velland", 8}, {"Harrowdale", 17}, {"Caldmoor", 2},
    {"Sundrey", 27}, {"Tarnfell", 20}, {"Westmere", 5}, {"Ostmark", 14}, {"Highreach", 31}};
const int sw_n_counties = sizeof sw_counties / sizeof *sw_counties;

#define WORDS(name, ...)                                                                           \
    static const char *const name##_list[] = {__VA_ARGS__};                                        \
    const struct words name = {name##_list, sizeof name##_list / sizeof *name##_list}

WORDS(sw_jobs, "baker", "miller", "sailor", "teacher", "tailor", "potter", "farmer", "weaver",
    "carpenter", "painter", "doctor", "singer", "hunter", "gardener", "printer", "cook", "smith",
    "clerk", "shepherd", "mason", "pilot", "judge");

WORDS(sw_places, "harbour", "market", "mill", "library", "bakery", "garden", "station", "bridge",
    "chapel", "tavern", "school", "orchard", "quarry", "lighthouse", "museum", "theatre", "forge",
    "stable", "cellar", "tower", "kitchen", "workshop", "meadow", "island");

WORDS(sw_objects, "lantern", "basket", "letter", "hammer", "kettle", "ribbon", "compass", "blanket",
    "candle", "ladder", "whistle", "bottle", "mirror", "saddle", "violin", "shovel", "needle",
    "notebook", "umbrella", "apple", "rope", "clock", "drum", "map", "ring", "coin", "scarf",
    "parcel", "feather", "anchor", "orange", "brush");

WORDS(sw_events, "war", "siege", "drought", "reign", "voyage", "strike", "famine", "feud", "trial",
    "truce", "plague", "project", "alliance", "festival", "journey", "dispute", "hunt", "census",
    "exile", "revolt");

WORDS(sw_adjectives, "old", "small", "cold", "bright", "quiet", "green", "heavy", "narrow", "empty",
    "warm", "dark", "long", "white", "broken", "red", "soft", "deep", "wooden", "young", "blue",
    "strange", "slow", "dry", "tall", "grey", "round", "sharp", "clean", "wild", "thin", "gentle",
    "black", "hidden", "brave", "plain", "rough", "silver", "golden", "distant", "hungry",
    "crooked", "famous", "pale", "bitter", "proud", "smooth", "loose", "frozen", "dusty", "sweet",
    "hollow", "yellow", "lonely", "careful", "sudden", "steep", "clever", "faint", "tired",
    "silent", "rusty", "marble", "patient", "shallow", "stubborn", "velvet", "humble", "crowded",
    "modest", "ancient", "restless", "curious", "fragile", "solemn", "eager", "polite");

WORDS(sw_adverbs, "slowly", "often", "again", "quietly", "soon", "always", "early", "late",
    "together", "away", "twice", "seldom", "gladly", "quickly", "nearly", "softly", "alone",
    "carefully", "everywhere", "rarely", "loudly", "gently", "badly", "proudly", "calmly",
    "kindly");

WORDS(sw_verbs_past, "found", "saw", "took", "left", "kept", "carried", "opened", "watched",
    "bought", "lost", "cleaned", "moved", "hid", "painted", "covered", "followed", "forgot",
    "dropped", "counted", "repaired", "borrowed", "touched", "broke", "closed", "washed", "pulled",
    "pushed", "remembered", "guarded", "turned", "lifted", "measured", "weighed", "wanted", "liked",
    "admired", "ignored", "described", "missed", "polished", "wrapped", "buried", "crossed",
    "filled", "sketched", "mended", "stacked", "chased", "praised", "traded", "mapped", "tested",
    "rescued", "delivered");

WORDS(sw_masses, "rain", "wind", "snow", "smoke", "water", "light", "bread", "salt", "wood", "iron",
    "fog", "milk", "honey", "dust", "sand", "silk", "corn", "wool", "ink", "clay", "grass", "frost",
    "thunder", "moonlight");

const struct noun sw_nouns[] = {{"house", "houses"}, {"river", "rivers"}, {"dog", "dogs"},
    {"boat", "boats"}, {"road", "roads"}, {"tree", "trees"}, {"door", "doors"},
    {"window", "windows"}, {"horse", "horses"}, {"bird", "birds"}, {"table", "tables"},
    {"stone", "stones"}, {"field", "fields"}, {"cat", "cats"}, {"wall", "walls"}, {"book", "books"},
    {"hill", "hills"}, {"garden", "gardens"}, {"lamp", "lamps"}, {"wheel", "wheels"},
    {"room", "rooms"}, {"cart", "carts"}, {"fire", "fires"}, {"song", "songs"}, {"chair", "chairs"},
    {"gate", "gates"}, {"cloud", "clouds"}, {"bell", "bells"}, {"flower", "flowers"},
    {"story", "stories"}, {"island", "islands"}, {"box", "boxes"}, {"child", "children"},
    {"knife", "knives"}, {"picture", "pictures"}, {"fence", "fences"}, {"goat", "goats"},
    {"roof", "roofs"}, {"star", "stars"}, {"ship", "ships"}, {"path", "paths"}, {"cup", "cups"},
    {"coat", "coats"}, {"winter", "winters"}, {"forest", "forests"}, {"corner", "corners"},
    {"lake", "lakes"}, {"barn", "barns"}, {"plate", "plates"}, {"rabbit", "rabbits"},
    {"well", "wells"}, {"leaf", "leaves"}, {"village", "villages"}, {"sail", "sails"},
    {"jar", "jars"}, {"spoon", "spoons"}, {"hat", "hats"}, {"valley", "valleys"},
    {"wolf", "wolves"}, {"crow", "crows"}, {"barrel", "barrels"}, {"boot", "boots"},
    {"nail", "nails"}, {"fox", "foxes"}, {"glove", "gloves"}, {"shell", "shells"},
    {"berry", "berries"}, {"branch", "branches"}, {"castle", "castles"}, {"statue", "statues"},
    {"button", "buttons"}, {"engine", "engines"}, {"pocket", "pockets"}, {"guest", "guests"},
    {"stranger", "strangers"}, {"neighbour", "neighbours"}, {"soldier", "soldiers"},
    {"visitor", "visitors"}, {"brother", "brothers"}, {"sister", "sisters"},
    {"captain", "captains"}, {"merchant", "merchants"}, {"king", "kings"}, {"queen", "queens"},
    {"farm", "farms"}, {"cloak", "cloaks"}, {"chest", "chests"}, {"oven", "ovens"},
    {"nest", "nests"}, {"pond", "ponds"}, {"tunnel", "tunnels"}, {"cliff", "cliffs"},
    {"canal", "canals"}, {"wagon", "wagons"}, {"badger", "badgers"}, {"heron", "herons"},
    {"otter", "otters"}, {"beetle", "beetles"}, {"spider", "spiders"}, {"turnip", "turnips"},
    {"carrot", "carrots"}, {"onion", "onions"}, {"plum", "plums"}, {"cherry", "cherries"},
    {"walnut", "walnuts"}, {"acorn", "acorns"}, {"thistle", "thistles"}, {"pebble", "pebbles"},
    {"lantern", "lanterns"}, {"basket", "baskets"}, {"letter", "letters"}, {"hammer", "hammers"},
    {"kettle", "kettles"}, {"ribbon", "ribbons"}, {"compass", "compasses"}, {"blanket", "blankets"},
    {"candle", "candles"}, {"ladder", "ladders"}, {"bottle", "bottles"}, {"mirror", "mirrors"},
    {"saddle", "saddles"}, {"violin", "violins"}, {"shovel", "shovels"}, {"needle", "needles"},
    {"sparrow", "sparrows"}, {"falcon", "falcons"}, {"donkey", "donkeys"},
    {"hedgehog", "hedgehogs"}, {"squirrel", "squirrels"}, {"hawk", "hawks"}, {"pigeon", "pigeons"},
    {"curtain", "curtains"}, {"cushion", "cushions"}, {"drawer", "drawers"}, {"shelf", "shelves"},
    {"pillow", "pillows"}, {"bucket", "buckets"}, {"broom", "brooms"}, {"chimney", "chimneys"},
    {"cottage", "cottages"}, {"courtyard", "courtyards"}, {"balcony", "balconies"},
    {"cabin", "cabins"}, {"hut", "huts"}, {"palace", "palaces"}, {"temple", "temples"},
    {"monument", "monuments"}, {"poem", "poems"}, {"riddle", "riddles"}, {"rumour", "rumours"},
    {"secret", "secrets"}, {"promise", "promises"}, {"question", "questions"},
    {"answer", "answers"}, {"lesson", "lessons"}, {"dream", "dreams"}, {"shadow", "shadows"},
    {"echo", "echoes"}, {"voice", "voices"}, {"whisper", "whispers"}, {"melody", "melodies"},
    {"trumpet", "trumpets"}, {"flute", "flutes"}, {"orchard", "orchards"},
    {"vineyard", "vineyards"}, {"pasture", "pastures"}, {"hedge", "hedges"}, {"ditch", "ditches"},
    {"swamp", "swamps"}, {"glacier", "glaciers"}, {"volcano", "volcanoes"}, {"comet", "comets"},
    {"planet", "planets"}, {"rainbow", "rainbows"}, {"puddle", "puddles"}, {"icicle", "icicles"},
    {"blossom", "blossoms"}, {"petal", "petals"}, {"helmet", "helmets"}, {"shield", "shields"},
    {"sword", "swords"}, {"arrow", "arrows"}, {"banner", "banners"}, {"dagger", "daggers"},
    {"catapult", "catapults"}, {"ledger", "ledgers"}, {"quill", "quills"}, {"scroll", "scrolls"},
    {"almanac", "almanacs"}, {"telescope", "telescopes"}, {"pendulum", "pendulums"},
    {"lever", "levers"}, {"pulley", "pulleys"}, {"turbine", "turbines"}, {"magnet", "magnets"},
    {"prism", "prisms"}, {"lens", "lenses"}, {"crystal", "crystals"}, {"emerald", "emeralds"},
    {"pearl", "pearls"}};
const int sw_n_nouns = sizeof sw_nouns / sizeof *sw_nouns;

const struct verb sw_verbs[] = {{"stands", "stand", "stood"}, {"falls", "fall", "fell"},
    {"moves", "move", "moved"}, {"waits", "wait", "waited"}, {"sleeps", "sleep", "slept"},
    {"shines", "shine", "shone"}, {"turns", "turn", "turned"}, {"grows", "grow", "grew"},
    {"sings", "sing", "sang"}, {"rests", "rest", "rested"}, {"leans", "lean", "leaned"},
    {"burns", "burn", "burned"}, {"runs", "run", "ran"}, {"hides", "hide", "hid"},
    {"creaks", "creak", "creaked"}, {"smells", "smell", "smelled"},
    {"rattles", "rattle", "rattled"}, {"trembles", "tremble", "trembled"},
    {"drifts", "drift", "drifted"}, {"glows", "glow", "glowed"}, {"sinks", "sink", "sank"},
    {"shakes", "shake", "shook"}, {"wanders", "wander", "wandered"}, {"hums", "hum", "hummed"}};
const int sw_n_verbs = sizeof sw_verbs / sizeof *sw_verbs;

const char *sw_article(const char *word)
{
    return strchr("aeiou", word[0]) ? "an" : "a";
}

const char *sw_subject_pronoun(const struct person *p)
{
    return p->is_female ? "she" : "he";
}

const char *sw_object_pronoun(const struct person *p)
{
    return p->is_female ? "her" : "him";
}

const char *sw_possessive(const struct person *p)
{
    return p->is_female ? "her" : "his";
}

"""What is done about a verdict: thresholds, actions, words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guardrail import (
    Action,
    Category,
    ClassifierError,
    Language,
    OnUnsafe,
    Policy,
    Role,
    Stage,
    Turn,
    Verdict,
)
from guardrail.policy import language_of
from guardrail.refusals import FALLBACK, REFUSALS
from guardrail.taxonomy import TITLES
from guardrail.types import Conversation, exchange, question

KO, EN = Language.KO, Language.EN
O1, O2, O3 = Category.O1, Category.O2, Category.O3
ASKED = exchange("어떻게 해요?", "이렇게 하세요.")
FAILED = ClassifierError("down")


def treated(**categories: dict[str, Any]) -> Policy:
    """Return a policy that treats some categories in their own way."""
    return Policy.model_validate({"categories": categories})


def verdict(score: float = 0.9, unsafe: bool = True, **categories: float) -> Verdict:
    return Verdict(unsafe, score, {Category(name): value for name, value in categories.items()})


# Thresholds


@pytest.mark.parametrize("unsafe", [True, False])
def test_the_classifier_decides_unless_there_is_a_threshold(unsafe: bool) -> None:
    """Its threshold is its maker's; the score alone decides nothing."""
    assert Policy().finds_unsafe(verdict(0.5, unsafe)) is unsafe


@pytest.mark.parametrize(("score", "unsafe"), [(0.69, False), (0.7, True), (0.71, True)])
@pytest.mark.parametrize("own", [True, False])
def test_a_threshold_goes_before_the_classifiers_own(score: float, unsafe: bool, own: bool) -> None:
    """A turn is unsafe from the threshold on, itself included."""
    assert Policy(threshold=0.7).finds_unsafe(verdict(score, own)) is unsafe


@pytest.mark.parametrize("value", [0.2, 0.5])
def test_a_category_may_have_a_lower_threshold(value: float) -> None:
    """A category someone must be strict about is unsafe from its own threshold on."""
    policy = treated(O1={"threshold": 0.2})

    assert policy.finds_unsafe(verdict(0.3, unsafe=False, O1=value, O2=0.1))


def test_a_category_may_have_a_higher_threshold() -> None:
    """A turn that is only of this category passes below it, whatever the overall score."""
    assert not treated(O1={"threshold": 0.95}).finds_unsafe(verdict(0.9, O1=0.9, O2=0.1))


@pytest.mark.parametrize("known", [{"O5": 0.02}, {"O5": 0.45}, {"O5": 0.45, "O3": 0.44}])
def test_a_lenient_category_excuses_only_what_it_accounts_for(known: dict[str, float]) -> None:
    """A reply that is surely unsafe does not pass because nobody can say in which way."""
    assert treated(O5={"threshold": 0.8}).finds_unsafe(verdict(0.99, **known))


def test_a_lenient_category_does_not_cover_for_another() -> None:
    """Where a second category is present as well, the overall threshold holds."""
    assert treated(O1={"threshold": 0.95}).finds_unsafe(verdict(0.97, O1=0.9, O3=0.89))


def test_a_category_without_its_own_threshold_goes_by_the_overall_one() -> None:
    """Thresholds of others are none of its business."""
    assert treated(O1={"threshold": 0.95}).finds_unsafe(verdict(0.9, O2=0.9))


def test_categories_are_asked_for_only_where_they_matter() -> None:
    """A safe verdict takes one step."""
    assert not Policy().wants_categories(verdict(0.1, unsafe=False))


def test_categories_are_asked_for_once_unsafe() -> None:
    """The words depend on them."""
    assert Policy().wants_categories(verdict())


def test_categories_that_are_known_are_not_asked_for() -> None:
    """A classifier that names them at once saves the second step."""
    assert not Policy().wants_categories(verdict(O1=0.9))


@pytest.mark.parametrize(("score", "asked"), [(0.1, False), (0.2, True)])
def test_a_low_category_threshold_asks_earlier(score: float, asked: bool) -> None:
    """A score that may hide a category over its own threshold is looked into."""
    assert treated(O5={"threshold": 0.2}).wants_categories(verdict(score, unsafe=False)) is asked


# Actions


def test_a_safe_turn_is_allowed() -> None:
    """The caller gets the text itself."""
    outcome = Policy().decide(ASKED, verdict(unsafe=False))

    assert (outcome.action, outcome.text) == (Action.ALLOW, "이렇게 하세요.")


@pytest.mark.parametrize("category", Category)
def test_an_unsafe_turn_is_refused_in_its_categorys_words(category: Category) -> None:
    """Each of the six has a refusal of its own."""
    outcome = Policy().decide(ASKED, Verdict(True, 0.9, {category: 0.9}))

    assert (outcome.action, outcome.category, outcome.text) == (
        Action.REPLACE,
        category,
        Policy().refusal(category, KO),
    )


def test_an_unsafe_turn_of_no_category_gets_the_fallback() -> None:
    """A classifier need not know categories."""
    assert Policy().decide(ASKED, verdict()).text == Policy().refusal(None, KO)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (OnUnsafe.REFUSE, Action.REPLACE),
        (OnUnsafe.FALLBACK, Action.REPLACE),
        (OnUnsafe.MONITOR, Action.FLAG),
        (OnUnsafe.ALLOW, Action.ALLOW),
    ],
)
def test_a_category_is_treated_as_configured(action: OnUnsafe, expected: Action) -> None:
    """A category may be let through, with a mark or without."""
    assert treated(O2={"action": action}).decide(ASKED, verdict(O2=0.9)).action is expected


def test_a_category_may_get_the_fallback() -> None:
    """Its own words are not shown, its name is recorded."""
    outcome = treated(O2={"action": "fallback"}).decide(ASKED, verdict(O2=0.9))

    assert (outcome.text, outcome.category) == (Policy().refusal(None, KO), O2)


@pytest.mark.parametrize("lenient", ["allow", "monitor", "fallback"])
def test_of_several_categories_the_strictest_decides(lenient: str) -> None:
    """What one category permits, another forbids."""
    outcome = treated(O2={"action": lenient}).decide(ASKED, verdict(O2=0.9, O3=0.6))

    assert (outcome.action, outcome.category) == (Action.REPLACE, O3)


def test_of_equally_strict_categories_the_likelier_one_decides() -> None:
    """Its words fit better."""
    assert Policy().decide(ASKED, verdict(O2=0.6, O3=0.9)).category is O3


@pytest.mark.parametrize("lenient", ["allow", "monitor"])
def test_a_category_that_is_hardly_there_permits_nothing(lenient: str) -> None:
    """Only a category that is clearly present lets a turn through."""
    outcome = treated(O2={"action": lenient}).decide(ASKED, verdict(O2=0.45, O3=0.44))

    assert outcome.action is Action.REPLACE


def test_the_likeliest_category_lends_its_words_though_hardly_there() -> None:
    """A helpline shown in doubt harms nobody."""
    assert Policy().decide(ASKED, verdict(O6=0.3)).text == Policy().refusal(Category.O6, KO)


def test_monitoring_blocks_nothing() -> None:
    """What would have been blocked is marked, with its category."""
    outcome = Policy(mode="monitor").decide(ASKED, verdict(O1=0.9))

    assert (outcome.action, outcome.text, outcome.category) == (Action.FLAG, "이렇게 하세요.", O1)


@pytest.mark.parametrize(
    ("settings", "known", "action"),
    [
        ({}, None, Action.REPLACE),
        ({"on_error": "open"}, None, Action.FLAG),
        ({"on_error": "open"}, verdict(), Action.REPLACE),
        ({"mode": "monitor"}, None, Action.FLAG),
        ({"mode": "monitor"}, verdict(), Action.FLAG),
    ],
)
def test_a_turn_without_an_answer(
    settings: dict[str, Any], known: Verdict | None, action: Action
) -> None:
    """It is blocked, unless errors are let through and nothing worse is known; never allowed."""
    outcome = Policy(**settings).decide_without(ASKED, FAILED, known)

    assert (outcome.action, outcome.error) == (action, FAILED)


@pytest.mark.parametrize(
    ("conversation", "stage"), [(ASKED, Stage.OUTPUT), (question("x"), Stage.INPUT)]
)
def test_an_outcome_names_its_stage(conversation: Conversation, stage: Stage) -> None:
    """Whoever spoke last is judged."""
    assert Policy().decide(conversation, verdict()).stage is stage


# Words


@pytest.mark.parametrize(
    ("category", "numbers"),
    [
        (Category.O2, ["1366"]),
        (Category.O3, ["112"]),
        (Category.O4, ["112"]),
        (Category.O5, ["1342"]),
        (Category.O6, ["109", "1577-0199", "1388"]),
    ],
)
@pytest.mark.parametrize("language", Language)
def test_a_refusal_names_who_can_help(
    category: Category, numbers: list[str], language: Language
) -> None:
    """The helplines that fit stand in either language."""
    text = Policy().refusal(category, language)

    assert [number for number in numbers if number not in text] == []


@pytest.mark.parametrize("category", [None, *Category])
@pytest.mark.parametrize("language", Language)
def test_a_refusal_has_no_stumps(category: Category | None, language: Language) -> None:
    """Without business fields nothing of their line is left."""
    text = Policy().refusal(category, language)

    assert not any(stump in text for stump in ("{", "}", "  ", "문의:", "Contact:", "None", "\n\n"))


@pytest.mark.parametrize("category", [None, *Category])
def test_a_refusal_says_where_to_turn(category: Category | None) -> None:
    """Business fields stand in the last line of every refusal."""
    policy = Policy(service_name="한빛상회", contact="1588-0000")

    assert policy.refusal(category, KO).splitlines()[-1] == "문의: 한빛상회 1588-0000"


def test_one_business_field_is_enough() -> None:
    """The other leaves no gap."""
    assert Policy(contact="1588-0000").refusal(None, KO).endswith("\n문의: 1588-0000")


def test_the_default_words_differ() -> None:
    """No refusal stands in for another."""
    texts = [texts[language] for texts in (FALLBACK, *REFUSALS.values()) for language in Language]

    assert len(set(texts)) == 2 * 7


def test_own_words_are_shown() -> None:
    """They may name the category and the business."""
    policy = Policy.model_validate(
        {
            "service_name": "한빛",
            "categories": {"O1": {"refusal": {"ko": "{service_name}: {category} 안 돼요 {{}}"}}},
        }
    )

    assert policy.refusal(O1, KO) == f"한빛: {TITLES[O1][KO]} 안 돼요 {{}}"


def test_a_language_without_own_words_keeps_the_default_ones() -> None:
    """Writing a refusal in Korean does not take the English one away."""
    policy = treated(O1={"refusal": {"ko": "안 돼요"}})

    assert policy.refusal(O1, EN) == Policy().refusal(O1, EN)


def test_own_words_that_come_out_empty_give_way_to_the_default() -> None:
    """Nobody is answered with silence."""
    policy = Policy.model_validate({"fallback": {"ko": "{contact}"}})

    assert policy.refusal(None, KO) == Policy().refusal(None, KO)


@given(st.text(), st.text())
def test_business_fields_are_data(service_name: str, contact: str) -> None:
    """Braces in them are shown, not read."""
    text = Policy(service_name="{contact}" + service_name, contact=contact).refusal(None, KO)

    assert "{contact}" in text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{name}", r"unknown field \{name\}; known are \{category\}, \{service_name\}"),
        ("{}", r"unknown field \{\}"),
        ("{0}", r"unknown field \{0\}"),
        ("{category.__class__}", "unknown field"),
        ("{category[0]}", "unknown field"),
        ("{category!r}", "without a format"),
        ("{category:>999999999}", "without a format"),
        ("{category:{foo}}", "without a format"),
        ("{category", "for braces"),
        ("100% }", "for braces"),
        ("", "must not be empty"),
        (" \n\t", "must not be empty"),
    ],
)
def test_a_template_is_checked_when_it_is_written(template: str, message: str) -> None:
    """A mistake in a refusal shows at start-up, not when a refusal is due."""
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate({"fallback": {"ko": template}})


@given(st.text(st.sampled_from("{}categoryservice_namecontact:! \n\r\u2028가.[]0"), max_size=20))
def test_an_accepted_template_can_always_be_filled(template: str) -> None:
    """There is always something to show."""
    try:
        policy = Policy.model_validate({"fallback": {"ko": template}, "contact": "1"})
    except ValidationError:
        return

    assert policy.refusal(None, KO).strip()


# Languages


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("환불해 주세요", KO),
        ("ㅇㅋ", KO),
        ("\u1112\u1161\u11ab", KO),
        ("OK, 환불 please", KO),
        ("refund please", EN),
        ("123 !?", None),
        ("日本語", None),
        ("", None),
    ],
)
def test_the_language_of_a_text(text: str, language: Language | None) -> None:
    """Any Hangul makes it Korean, precomposed or not."""
    assert language_of(text) is language


@pytest.mark.parametrize(
    ("user", "reply", "language"),
    [
        ("help me", "이렇게", EN),
        ("도와줘", "like this", KO),
        ("?!", "like this", EN),
        ("?!", "...", KO),
    ],
)
def test_a_refusal_is_in_the_users_language(user: str, reply: str, language: Language) -> None:
    """The reply's counts where the user's words have none; Korean where nothing has."""
    assert Policy().language_for(exchange(user, reply)) is language


def test_the_language_may_be_fixed() -> None:
    """A service in one language answers in it."""
    assert Policy(language="en").decide(ASKED, verdict()).text == Policy().refusal(None, EN)


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshold": float("nan")},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"mode": "off"},
        {"on_error": "ignore"},
        {"language": "fr"},
        {"language": []},
        {"categories": {"O7": {}}},
        {"categories": {"O1": {"action": "block"}}},
        {"treshold": 0.5},
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any]) -> None:
    """Neither a typing error nor an impossible value passes for a default."""
    with pytest.raises(ValidationError):
        Policy.model_validate(settings)


def test_the_defaults_are_safe() -> None:
    """Nothing has to be set to be guarded."""
    policy = Policy()

    assert (policy.mode, policy.on_error, policy.timeout, policy.check_input) == (
        "enforce",
        "closed",
        10.0,
        False,
    )


def test_a_policy_spelled_out_is_the_same_policy() -> None:
    """Writing every default down changes no decision."""
    policy = treated(O1={"action": "fallback"}, O2={"refusal": {"ko": "안 돼요"}})
    judged = exchange("x", "y", [Turn(Role.USER, "안녕")])

    assert [
        policy.spelled_out().decide(judged, Verdict(True, 1, {one: 1})) for one in Category
    ] == [policy.decide(judged, Verdict(True, 1, {one: 1})) for one in Category]

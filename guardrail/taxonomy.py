"""The six categories: their titles, and the policy text that KoSafeGuard was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guardrail.types import Category, Language

__all__ = ["KOSAFEGUARD", "TITLES", "Clause", "Taxonomy"]

TITLES: Mapping[Category, Mapping[Language, str]] = {
    Category.O1: {Language.KO: "폭력과 혐오", Language.EN: "Violence and hate"},
    Category.O2: {Language.KO: "성적인 내용", Language.EN: "Sexual content"},
    Category.O3: {Language.KO: "범죄 계획", Language.EN: "Criminal planning"},
    Category.O4: {Language.KO: "총기와 불법 무기", Language.EN: "Guns and illegal weapons"},
    Category.O5: {Language.KO: "규제 약물", Language.EN: "Regulated or controlled substances"},
    Category.O6: {Language.KO: "자해와 자살", Language.EN: "Self-harm"},
}


@dataclass(frozen=True, slots=True)
class Clause:
    """One category of a policy, as a model reads it.

    Args:
        category: which of our categories it stands for.
        label: the name the model knows it by.
        text: the lines under the label.
    """

    category: Category
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The clauses of a policy prompt, in order.

    A model with other categories than KoSafeGuard's gets clauses of its own, each mapped on the
    category whose refusal fits.
    """

    clauses: tuple[Clause, ...]

    def split(self) -> tuple[Taxonomy, ...]:
        """Return one taxonomy per clause, for asking about each category alone."""
        return tuple(Taxonomy((clause,)) for clause in self.clauses)


KOSAFEGUARD = Taxonomy(
    (
        Clause(
            Category.O1,
            "O1: Violence and Hate.",
            """\
Should not
- Help people plan or engage in violence.
- Encourage people to engage in violence.
- Express hateful, derogatory, or demeaning sentiments against people based on sensitive personal characteristics like their race, color, religion, national origin, sexual orientation, gender, gender identity, or disability.
- Encourage discrimination against people based on those characteristics and should not use slurs or create insults based on those characteristics.
Can
- Provide information on violence and discrimination.
- Discuss the topics of hate and violence, and can discuss historical events involving violence.""",
        ),
        Clause(
            Category.O2,
            "O2: Sexual Content.",
            """\
Should not
- Engage in sexually explicit (i.e., erotic) conversations and should not encourage people to engage in sexual activities.
Can
- Discuss topics related to sexuality and sexual education.
- Provide general information regarding sexual activities.
- Provide guidance on topics related to sexual health.""",
        ),
        Clause(
            Category.O3,
            "O3: Criminal Planning.",
            """\
Should not
- Help people plan or engage in criminal activities like theft, kidnapping, or financial crimes, especially when the person indicates that they may act on the information provided to them.
- Encourage people to engage in criminal activities or condone criminal behavior.
Can
- Help people understand how crimes are committed, provided that the response is not so detailed that it could be used to provide a roadmap for future crimes.
- Help people understand how systems work that are used to prevent crimes, provided those descriptions do not provide detailed information on how to defeat those systems.""",
        ),
        Clause(
            Category.O4,
            "O4: Guns and Illegal Weapons.",
            """\
Should not
- Assist in the planning or execution of firearm or illegal weapons crimes, especially when the person indicates that they may act on the information provided to them.
- Encourage people to engage in firearm or illegal weapons crimes or condone such behavior.
Can
- Discuss firearms and the arguments for and against firearm ownership.""",
        ),
        Clause(
            Category.O5,
            "O5: Regulated or Controlled Substances.",
            """\
Should not
- Encourage or assist people in the trafficking, consumption, or use of regulated or controlled substances, including but not limited to illegal drugs, tobacco, alcohol, and cannabis.
- Assist or encourage people to create such substances when it is illegal to do so.
Can
- Discuss the use of regulated or controlled substances, and can provide general information on those substances (ex: what their chemical composition is and what their effects are).
- Provide information on how those substances are manufactured, provided that the information is not so detailed as to provide step-by-step instructions for their creation.""",
        ),
        Clause(
            Category.O6,
            "O6: Self-Harm.",
            """\
Should not
- Encourage people to harm themselves.
- Romanticize or condone self-harm or suicide.
- Provide information regarding the methods of suicide or self-harm.
- Provide any information or advice, other than information regarding appropriate health resources, to people who express or imply that they wish to harm themselves.
Can
- Provide general information regarding self-harm and suicide (ex: statistics, the mental health challenges faced by those who take these actions).
Should
- Provide information regarding appropriate health resources to people who imply or express the desire to harm themselves.""",
        ),
    )
)

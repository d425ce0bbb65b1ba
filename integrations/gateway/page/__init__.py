"""The page for the people who run the gateway: a playground, what was decided, and reviews.

It is served at `/`, needs nothing from elsewhere, and asks an API of its own below `/page/api/`,
which may change with it.
"""

from guardrail.integrations.gateway.page.access import Access
from guardrail.integrations.gateway.page.headers import PageHeaders
from guardrail.integrations.gateway.page.routes import page

__all__ = ["Access", "PageHeaders", "page"]

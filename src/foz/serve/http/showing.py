"""How a job stands, told on the data plane: it is what callers ask again and again."""

from foz.canon.fault import NotFound
from foz.canon.principal import Principal
from foz.gateway.services import Services
from foz.jobs.intake import Jobs
from foz.ports.skin import Showing, Visit
from foz.serve.http.staying import while_here
from foz.wire.http import Reply


async def shown(showing: Showing, jobs: Jobs | None, services: Services, principal: Principal, visit: Visit) -> Reply:
    """One's own job, of the face that was asked; no later than we are being stopped. Raises BadRequest, NotFound."""
    look = showing.look(visit.call)
    if jobs is None:
        raise NotFound("No jobs are kept here.", field="job_id")
    found = await jobs.told(principal, visit.rest[0], visit.route.skin)
    if look.seconds and not found[0].over:
        found = await while_here(services, jobs.waited(found[0], look.seconds, end=look.end)) or found
    return showing.say(*found)

// People without microphone and camera: none there, or not allowed. They come in all the same, hear and see.
import { scene, setUp } from './stage.mjs';

setUp();

for (const [name, text] of [
  ['NotAllowedError', /The camera was not allowed|blocks the camera/],
  ['NotFoundError', /No camera was found/],
  ['NotReadableError', /Another program is using the camera/],
])
  scene(`without devices (${name}) one is told why, and comes in`, async (stage) => {
    const ada = await stage.account('Ada');
    const link = await ada.newMeeting();
    await ada.join();
    const bo = await stage.person('Bo');
    await bo.page.addInitScript((error) => {
      navigator.mediaDevices.getUserMedia = async () => {
        throw new DOMException('so says the test', error);
      };
    }, name);
    await bo.open(link);
    await bo.page.getByText(text).first().waitFor();
    await bo.join();
    await bo.receives('Ada');
    await ada.tile('Bo').getByRole('img', { name: 'Microphone off' }).waitFor();
  });
